package main

import (
	"fmt"
	"io"
	"slices"

	"joolctl/e2e/guest"
)

// column is one number of a measurement.
type column struct {
	name string
	of   func(guest.Measurement) float64
}

var counts = []column{
	{"sent by J's kernel", func(m guest.Measurement) float64 { return float64(m.Sent) }},
	{"dropped by J's kernel (ENOSPC)", func(m guest.Measurement) float64 { return float64(m.Dropped) }},
	{"stored by K", func(m guest.Measurement) float64 { return float64(m.Stored) }},
}

var costs = []column{
	{"CPU time of J's daemon", func(m guest.Measurement) float64 { return m.SendCPU.Seconds() }},
	{"CPU time of K's daemon", func(m guest.Measurement) float64 { return m.RecvCPU.Seconds() }},
}

// writeTable writes what is in the measurements: counts as they are, times
// only as ratios of the two daemons' in the same round.
func writeTable(w io.Writer, all []guest.Measurement) {
	daemons := []string{guest.Upstream, guest.Ours}
	fmt.Fprintf(w, "| median (range) | %s | %s |\n|---|---|---|\n", daemons[0], daemons[1])
	for _, c := range counts {
		fmt.Fprintf(w, "| %s |", c.name)
		for _, d := range daemons {
			fmt.Fprintf(w, " %s |", spread(values(all, d, c), "%.0f"))
		}
		fmt.Fprintln(w)
	}
	for _, c := range costs {
		theirs, ours := values(all, daemons[0], c), values(all, daemons[1], c)
		ratios := make([]float64, min(len(theirs), len(ours)))
		for i := range ratios {
			ratios[i] = ours[i] / theirs[i]
		}
		fmt.Fprintf(w, "| %s | 1 | %s |\n", c.name, spread(ratios, "%.2f"))
	}
}

// values are a column's of one daemon, round by round.
func values(all []guest.Measurement, daemon string, c column) []float64 {
	var v []float64
	for _, m := range all {
		if m.Daemon == daemon {
			v = append(v, c.of(m))
		}
	}
	return v
}

// spread is the median and, if it is not all the same, the range.
func spread(v []float64, format string) string {
	if len(v) == 0 {
		return "none"
	}
	v = slices.Sorted(slices.Values(v))
	low, median, high := v[0], v[len(v)/2], v[len(v)-1]
	if low == high {
		return fmt.Sprintf(format, median)
	}
	return fmt.Sprintf(format+" ("+format+"–"+format+")", median, low, high)
}
