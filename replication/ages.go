package replication

import (
	"slices"

	"joolctl/session"
	"joolctl/syncwire"
)

// The module keeps its sessions in lists by age, one for each protocol and timer. It walks past all younger sessions of the
// list to the place of a session that it is given. So merging two large tables of similar ages would take it as many steps as
// the product of their sizes, and packets wait meanwhile.
const (
	// maxSteps is how many steps the module may walk for a piece of a peer's table.
	maxSteps = 50_000_000
	// maxYounger is how many own sessions may be younger than a session of a piece that would take more.
	maxYounger = 4000
)

// ages has the own sessions' idle times, by the module's lists.
type ages map[ageList]*listAges

// ageList identifies one of the module's lists.
type ageList struct {
	proto session.Proto
	timer session.Timer
}

// listAges has the idle times of the own sessions in a list, in milliseconds, youngest first.
type listAges struct {
	idle []int64
	// crowded is true once sessions of the peer's table were made younger: later ones must not be older than these.
	crowded bool
}

func listOf(r *session.Record) ageList { return ageList{r.Proto(), r.Timer()} }

func agesOf(records []session.Record, s syncwire.Settings) ages {
	a := make(ages)
	for i := range records {
		r := &records[i]
		l := a[listOf(r)]
		if l == nil {
			l = new(listAges)
			a[listOf(r)] = l
		}
		l.idle = append(l.idle, Idle(r, s))
	}
	for _, l := range a {
		slices.Sort(l.idle)
	}
	return a
}

// younger returns how many own sessions the module walks past to the place of a session.
func (l *listAges) younger(r *session.Record, s syncwire.Settings) int {
	n, _ := slices.BinarySearch(l.idle, Idle(r, s))
	return n
}

// rejuvenate makes the sessions of a piece younger if the module would walk more than maxSteps for all of them: none has more
// than maxYounger younger own sessions then. These sessions stay for longer, at most for as long again as they have been
// idle. At the next comparison, the peer takes over the younger times.
func (a ages) rejuvenate(records []session.Record, s syncwire.Settings) {
	steps := make(map[ageList]int)
	for i := range records {
		r := &records[i]
		if l := a[listOf(r)]; l != nil {
			steps[listOf(r)] += l.younger(r, s)
		}
	}
	for at, n := range steps {
		a[at].crowded = a[at].crowded || n > maxSteps
	}
	for i := range records {
		r := &records[i]
		if l := a[listOf(r)]; l != nil && l.crowded && l.younger(r, s) > maxYounger {
			r.SetExpires(uint32(s.TTL(uint8(r.Proto()), uint8(r.Timer())).Milliseconds() - l.idle[maxYounger]))
		}
	}
}
