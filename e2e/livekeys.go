package e2e

import (
	"fmt"
	"time"

	"joolctl/e2e/guest"
)

// KeyQuantiles are the quantiles of the latency that are compared with a key and without.
var KeyQuantiles = []float64{0.5, 0.99}

// KeyBounds are the greatest ratios of joolctl with a key to joolctl without. A bound of 0 is not checked.
type KeyBounds struct{ Latency, CPU float64 }

// KeyLatency is the ratio of a quantile with a key to the one without; 0 if one of them was not measured.
func KeyLatency(live guest.Live, traffic string, q float64) float64 {
	without, with := LatencyOf(live, guest.LiveOurs, traffic), LatencyOf(live, guest.LiveKeyed, traffic)
	if without.Opened == 0 || with.Opened == 0 {
		return 0
	}
	return float64(with.Quantile(q)) / float64(without.Quantile(q))
}

// Broken describes each bound that joolctl with a key breaks.
func (b KeyBounds) Broken(live guest.Live) (broken []string) {
	for _, traffic := range guest.LiveTraffics {
		for _, q := range KeyQuantiles {
			// Times that two polls of the standby cannot tell apart are equal.
			took, without := LatencyOf(live, guest.LiveKeyed, traffic).Quantile(q), LatencyOf(live, guest.LiveOurs, traffic).Quantile(q)
			if r := KeyLatency(live, traffic, q); b.Latency > 0 && r > b.Latency && took > without+pollsApart {
				broken = append(broken, fmt.Sprintf("a key, sessions opened at %s: p%.0f is %v, %.2f times that without a key, may be %.2f",
					traffic, 100*q, took.Round(100*time.Microsecond), r, b.Latency))
			}
		}
	}
	for _, r := range LiveRatios {
		ratios := Ratios(live, guest.LiveKeyed, guest.LiveOurs, r)
		if len(ratios) == 0 || b.CPU == 0 {
			continue
		}
		if is := Median(ratios); !r.AtLeast && is > b.CPU || r.AtLeast && is < 1/b.CPU {
			broken = append(broken, fmt.Sprintf("a key, %s, %s: %.2f times that without a key, the bound is %.2f", r.Traffic, r.Name, is, b.CPU))
		}
	}
	return broken
}
