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

// ages has the idle times, in milliseconds, of the own sessions in each of the module's lists, youngest first.
type ages map[ageList][]int64

// ageList identifies one of the module's lists.
type ageList struct {
	proto session.Proto
	timer session.Timer
}

func listOf(r *session.Record) ageList { return ageList{r.Proto(), r.Timer()} }

func agesOf(records []session.Record, s syncwire.Settings) ages {
	a := make(ages)
	for i := range records {
		r := &records[i]
		a[listOf(r)] = append(a[listOf(r)], Idle(r, s))
	}
	for _, idle := range a {
		slices.Sort(idle)
	}
	return a
}

// younger returns how many own sessions the module walks past to the place of a session.
func (a ages) younger(r *session.Record, s syncwire.Settings) int {
	n, _ := slices.BinarySearch(a[listOf(r)], Idle(r, s))
	return n
}

// rejuvenate makes the sessions of a piece younger if the module would walk more than maxSteps for all of them: none has more
// than maxYounger younger own sessions then. These sessions stay for longer, at most for as long again as they have been
// idle, and at the next comparison the peer's records of them follow.
func (a ages) rejuvenate(records []session.Record, s syncwire.Settings) {
	steps := 0
	for i := range records {
		steps += a.younger(&records[i], s)
	}
	if steps <= maxSteps {
		return
	}
	for i := range records {
		r := &records[i]
		if a.younger(r, s) > maxYounger {
			idle := a[listOf(r)][maxYounger]
			r.SetExpires(uint32(s.TTL(uint8(r.Proto()), uint8(r.Timer())).Milliseconds() - idle))
		}
	}
}
