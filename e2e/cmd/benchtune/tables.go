package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"joolctl/e2e"
	"joolctl/e2e/guest"
)

// tables has the tables of all rows that were measured.
func tables(all guest.Tune) string {
	var parts []string
	for _, part := range []string{deadlines(all.Deadlines), capacities(all.Capacities, all.Queues), updates(all.Updates)} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "\n")
}

// table is a table with a head.
func table(head []string, rows ...[]string) string {
	row := func(cells []string) string { return "| " + strings.Join(cells, " | ") + " |\n" }
	text := row(head) + "|" + strings.Repeat("---|", len(head)) + "\n"
	for _, cells := range rows {
		text += row(cells)
	}
	return text
}

func deadlines(live guest.Live) string {
	if len(live.Latency) == 0 {
		return ""
	}
	var rows [][]string
	for _, deadline := range guest.TuneDeadlines {
		variant := fmt.Sprint(deadline)
		rows = append(rows, []string{
			variant + " ms",
			latency(e2e.LatencyOf(live, variant, guest.TunePace)), latency(e2e.LatencyOf(live, variant, guest.LiveBurst)),
			ratio(live, variant, func(c guest.LiveCost) float64 { return c.SendCPU.Seconds() / float64(max(1, c.Packets)) }),
			ratio(live, variant, func(c guest.LiveCost) float64 { return c.RecvCPU.Seconds() / float64(max(1, c.Packets)) }),
			ratio(live, variant, func(c guest.LiveCost) float64 { return float64(c.Packets) }),
			spread(values(live, variant, guest.LiveSteady, func(c guest.LiveCost) float64 { return float64(c.Sent) / float64(max(1, c.Reports)) }), "%.1f"),
			spread(values(live, variant, guest.LiveSteady, dropped), "%.0f"),
		})
	}
	return table([]string{
		"`ss-flush-deadline`", "first packet to the standby's kernel, " + guest.TunePace + " one at a time", "the same, " + guest.LiveBurst,
		"steady traffic: CPU time of J's daemon per packet", "CPU time of K's daemon per packet", "packets translated", "sessions in a report", "reports dropped",
	}, rows...)
}

func latency(l e2e.LiveLatency) string {
	text := fmt.Sprintf("p50 %s, p99 %s ms", millis(l.Quantile(0.5)), millis(l.Quantile(0.99)))
	if l.Lost > 0 {
		text += fmt.Sprintf("; %d of %d lost", l.Lost, l.Opened)
	}
	return text
}

func millis(d time.Duration) string {
	if d >= 100*time.Millisecond {
		return fmt.Sprintf("%.0f", d.Seconds()*1000)
	}
	return fmt.Sprintf("%.1f", d.Seconds()*1000)
}

// values has a value of each round of a variant, in the order of the rounds.
func values(live guest.Live, variant, traffic string, of func(guest.LiveCost) float64) (v []float64) {
	for _, c := range live.Costs {
		if c.Variant == variant && c.Traffic == traffic {
			v = append(v, of(c))
		}
	}
	return v
}

func dropped(c guest.LiveCost) float64 { return float64(c.Dropped) }

// ratio compares a deadline with the first one in steady traffic, round by round.
func ratio(live guest.Live, variant string, of func(guest.LiveCost) float64) string {
	base := fmt.Sprint(guest.TuneDeadlines[0])
	if variant == base {
		return "1"
	}
	v, first := values(live, variant, guest.LiveSteady, of), values(live, base, guest.LiveSteady, of)
	for i := range v {
		v[i] /= first[i]
	}
	return spread(v, "%.2f")
}

// spread shows the median and, if the values differ, the range.
func spread(v []float64, format string) string {
	if len(v) == 0 {
		return ""
	}
	slices.Sort(v)
	text := fmt.Sprintf(format, e2e.Median(v))
	if v[0] != v[len(v)-1] {
		text += fmt.Sprintf(" ("+format+"–"+format+")", v[0], v[len(v)-1])
	}
	return text
}

func capacities(live guest.Live, queues []guest.TuneQueue) string {
	if len(live.Costs)+len(queues) == 0 {
		return ""
	}
	perSession, text := 0.0, ""
	memory := func(capacity uint64) string {
		if perSession == 0 { // not measured
			return ""
		}
		return fmt.Sprintf("%.1f MB", perSession*float64(capacity)/1e6)
	}
	if n := len(queues); n > 1 {
		perSession = perQueued(queues[0], queues[n-1])
		text = fmt.Sprintf("\nA queued session takes %.0f bytes of kernel memory (%.0f in a queue of %d).\n", perSession, perQueued(queues[0], queues[1]), queues[1].Capacity)
	}
	var rows [][]string
	for _, capacity := range guest.TuneCapacities {
		variant := fmt.Sprint(capacity)
		rows = append(rows, []string{
			variant,
			share(live, variant, guest.LiveSteady), share(live, variant, guest.LiveNew),
			spread(values(live, variant, guest.LiveNew, func(c guest.LiveCost) float64 { return float64(c.Stored) }), "%.0f"),
			memory(capacity),
		})
	}
	return table([]string{
		"`ss-capacity`", "reports dropped in steady traffic", fmt.Sprintf("reports dropped of %d new sessions at full rate", guest.TuneFlood),
		"of these, K gets", "kernel memory of a full queue",
	}, rows...) + text
}

// perQueued is the memory of a session in the queue, in bytes.
func perQueued(a, b guest.TuneQueue) float64 {
	return float64(b.Memory-a.Memory) / float64(b.Capacity-a.Capacity)
}

// share shows the drops of each round and their part of all reports.
func share(live guest.Live, variant, traffic string) string {
	of := func(c guest.LiveCost) float64 { return 100 * float64(c.Dropped) / float64(max(1, c.Packets)) }
	counts := spread(values(live, variant, traffic, dropped), "%.0f")
	if counts == "" || counts == "0" {
		return counts
	}
	return counts + "; " + spread(values(live, variant, traffic, of), "%.1f") + " % of the packets"
}

func updates(all []guest.TuneUpdate) string {
	if len(all) == 0 {
		return ""
	}
	var rows [][]string
	for _, u := range all {
		var took []float64
		for _, d := range u.Took {
			took = append(took, d.Seconds()*1000)
		}
		slices.Sort(took)
		rows = append(rows, []string{fmt.Sprint(u.Entries), spread(took, "%.1f") + " ms", millis(u.During) + " ms", millis(u.Before) + " ms"})
	}
	return table([]string{"BIB entries", "an update of both settings", "longest round trip of a UDP packet through J meanwhile", "without an update"}, rows...)
}
