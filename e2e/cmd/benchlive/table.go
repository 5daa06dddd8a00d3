package main

import (
	"fmt"
	"io"
	"slices"
	"time"

	"joolctl/e2e/guest"
)

// writeTable writes what has been measured.
func writeTable(w io.Writer, live guest.Live) {
	fmt.Fprintf(w, "\ntune ss sets %v\n", live.Settings)
	for _, m := range live.Latency {
		var took []time.Duration
		stalled, over, late := 0, 0, 0
		for _, s := range m.Samples {
			took = append(took, s.Took)
			if s.Took >= 100*time.Millisecond {
				over++
			}
			if s.Took >= 30*time.Millisecond {
				late++
				if s.Stall >= 5*time.Millisecond {
					stalled++
				}
			}
		}
		slices.Sort(took)
		q := func(part float64) time.Duration {
			if len(took) == 0 {
				return 0
			}
			return took[min(len(took)-1, int(part*float64(len(took))))].Round(100 * time.Microsecond)
		}
		fmt.Fprintf(w, "round %d  %-24s %-13s %d opened at %.1f/s, %d lost: p50 %v, p99 %v, longest %v; %d of 100 ms and more, %d of 30 ms and more, of these %d in a stall of 5 ms and more; looks %v; stalls p50 %v, p99 %v, longest %v\n",
			m.Round, m.Variant, m.Traffic, m.Opened, m.Rate, m.Lost, q(0.5), q(0.99), q(1), over, late, stalled, m.Resolution.Round(10*time.Microsecond),
			m.Stalls.P50.Round(10*time.Microsecond), m.Stalls.P99.Round(10*time.Microsecond), m.Stalls.Longest.Round(10*time.Microsecond))
	}
	for _, c := range live.Costs {
		fmt.Fprintf(w, "round %d  %-24s %-13s %s\n", c.Round, c.Variant, c.Traffic, ratios(live, c))
	}
}

// ratios words a cost beside those of the other variants in the same round.
func ratios(live guest.Live, c guest.LiveCost) string {
	text := fmt.Sprintf("%d packets, sent %d, dropped %d, stored %d", c.Packets, c.Sent, c.Dropped, c.Stored)
	for _, base := range live.Costs {
		if base.Round != c.Round || base.Traffic != c.Traffic || base.Variant == c.Variant {
			continue
		}
		text += fmt.Sprintf("; beside %s: packets %.2f, sender %.2f, receiver %.2f", base.Variant, float64(c.Packets)/float64(base.Packets),
			per(c.SendCPU, c.Packets)/per(base.SendCPU, base.Packets), per(c.RecvCPU, c.Packets)/per(base.RecvCPU, base.Packets))
	}
	return text
}

func per(cpu time.Duration, packets uint64) float64 { return cpu.Seconds() / float64(packets) }
