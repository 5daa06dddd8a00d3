package table

import (
	"cmp"
	"math"
	"slices"

	"joolctl/configdir"
	"joolctl/supervisor"
)

// Order is an order of rows. Rows that are equal in it keep the natural order of their names.
type Order struct {
	Name    string
	compare func(a, b *supervisor.Row) int
}

// Orders are all orders.
var Orders = []Order{
	{"name", func(_, _ *supervisor.Row) int { return 0 }},
	{"severity", func(a, b *supervisor.Row) int {
		return cmp.Or(cmp.Compare(severity(b), severity(a)), cmp.Compare(lagSeconds(b), lagSeconds(a)))
	}},
	{"rates", func(a, b *supervisor.Row) int { return cmp.Compare(rates(b), rates(a)) }},
	{"lag", func(a, b *supervisor.Row) int { return cmp.Compare(lagSeconds(b), lagSeconds(a)) }},
	{"sessions", func(a, b *supervisor.Row) int { return cmp.Compare(tableSize(b), tableSize(a)) }},
}

// OrderNames are the names of all orders.
func OrderNames() (names []string) {
	for _, o := range Orders {
		names = append(names, o.Name)
	}
	return names
}

// OrderOf returns the order of a name. ok is false if there is none.
func OrderOf(name string) (o Order, ok bool) {
	i := slices.IndexFunc(Orders, func(o Order) bool { return o.Name == name })
	if i < 0 {
		return Order{}, false
	}
	return Orders[i], true
}

// Sort sorts rows. But for the order name, the largest value is first.
func (o Order) Sort(rows []supervisor.Row) {
	slices.SortStableFunc(rows, func(a, b supervisor.Row) int {
		return cmp.Or(o.compare(&a, &b), configdir.NaturalCompare(a.Name, b.Name))
	})
}

// severity is higher for worse rows: workers that do not run come first, then those that are not ready, then those with warnings.
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

// lagSeconds is the lag that the column LAG shows. One that is not known is larger than any other, and none is smaller than any.
func lagSeconds(row *supervisor.Row) float64 {
	switch {
	case row.Lag != nil:
		return row.Lag.Seconds
	case lag(row) == lagUnknown:
		return math.Inf(1)
	}
	return -1
}

func rates(row *supervisor.Row) float64 {
	if row.Rates == nil {
		return -1
	}
	return row.Rates.In + row.Rates.Out
}

func tableSize(row *supervisor.Row) uint64 {
	if row.Sessions == nil {
		return 0
	}
	return *row.Sessions
}
