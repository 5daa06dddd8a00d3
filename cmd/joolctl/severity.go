package main

import (
	"cmp"
	"slices"

	"joolctl/configdir"
	"joolctl/supervisor"
)

// orders sort rows, which arrive in natural order of their names.
var orders = map[string]func([]supervisor.Row){
	"name":     func([]supervisor.Row) {},
	"severity": bySeverity,
}

// bySeverity puts the worst rows first: workers that do not run, then those that are not ready, then those with warnings. Of two
// that are as bad, the one with the larger lag comes first.
func bySeverity(rows []supervisor.Row) {
	slices.SortStableFunc(rows, func(a, b supervisor.Row) int {
		return cmp.Or(cmp.Compare(severity(&b), severity(&a)), cmp.Compare(lagSeconds(&b), lagSeconds(&a)), configdir.NaturalCompare(a.Name, b.Name))
	})
}

// severity is higher for worse rows.
func severity(row *supervisor.Row) int {
	switch row.State {
	case supervisor.Failed:
		return 8
	case supervisor.Backoff:
		return 7
	case supervisor.Waiting:
		return 6
	}
	switch {
	case row.Reason != "": // it runs, but not as its files ask for
		return 5
	case row.Synced == "no":
		return 4
	case row.Synced == "alone":
		return 3
	case len(row.Reasons) > 0:
		return 2
	case len(row.Warnings) > 0:
		return 1
	}
	return 0
}

func lagSeconds(row *supervisor.Row) float64 {
	if row.Lag == nil {
		return 0
	}
	return row.Lag.Seconds
}
