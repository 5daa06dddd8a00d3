package main

import (
	"fmt"

	"joolctl/e2e"
	"joolctl/e2e/guest"
)

// keys is the table that compares joolctl with a key and without.
func keys(all []measured) string {
	var rows []string
	for _, m := range all {
		for _, traffic := range guest.LiveTraffics {
			without, with := e2e.LatencyOf(m.live, guest.LiveOurs, traffic), e2e.LatencyOf(m.live, guest.LiveKeyed, traffic)
			if without.Opened == 0 || with.Opened == 0 {
				continue
			}
			for _, q := range e2e.KeyQuantiles {
				rows = append(rows, row(m.jool, traffic, fmt.Sprintf("p%.0f of the time to K's module, ms", 100*q),
					millis(without.Quantile(q)), millis(with.Quantile(q)), fmt.Sprintf("%.2f", e2e.KeyLatency(m.live, traffic, q))))
			}
		}
		for _, r := range e2e.LiveRatios {
			if ratios := spread(m.live, guest.LiveKeyed, guest.LiveOurs, r); ratios != "" {
				rows = append(rows, row(m.jool, r.Traffic, r.Name, "", "", ratios))
			}
		}
	}
	return table(rows, "Jool", "traffic", "", guest.LiveOurs, guest.LiveKeyed, "ratio, median (range)")
}
