package replication

import (
	"slices"
	"sort"

	"joolctl/session"
	"joolctl/syncwire"
)

// The module keeps its sessions in lists by age, one for each protocol and timer. It walks past all sessions of the list that are
// younger or of the same age to the place of a session that it is given. So merging two large tables of similar ages would take it as many steps as
// the product of their sizes, and packets wait meanwhile.
const (
	// maxSteps is how many steps the module may walk for a piece of a peer's table.
	maxSteps = 50_000_000
	// maxYounger is how many own sessions may be younger than a session of a piece that would take more, unless too many sessions
	// of that piece and of those that follow would have the same age then.
	maxYounger = 4000
	// sameAge is how many milliseconds the module does not tell apart: a kernel's jiffy.
	sameAge = 4
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
	// crowded is true once sessions of the peer's table were made younger. oldest is the greatest idle time of the next ones:
	// they must not be older than these.
	crowded bool
	oldest  int64
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

// younger returns how many own sessions the module walks past to the place of a session: those that are younger or of the same
// age.
func (l *listAges) younger(r *session.Record, s syncwire.Settings) int {
	n, _ := slices.BinarySearch(l.idle, Idle(r, s)+1)
	return n
}

// rejuvenate makes the sessions of a piece younger if the module would walk more than maxSteps for all of them: then few
// own sessions are younger than any of them. It spreads them over that time, because the module walks past
// sessions of the same age, too; rest further sessions may follow in later pieces. These sessions stay for longer, at most for
// as long again as they have been idle. At the next comparison, the peer takes over the younger times. records must be
// sorted, oldest first, and stay so within each list.
func (a ages) rejuvenate(records []session.Record, rest int, s syncwire.Settings) {
	type walk struct{ sessions, steps int }
	walks := make(map[ageList]walk)
	for i := range records {
		r := &records[i]
		if l := a[listOf(r)]; l != nil {
			w := walks[listOf(r)]
			walks[listOf(r)] = walk{w.sessions + 1, w.steps + l.younger(r, s)}
		}
	}
	for at, w := range walks {
		if l := a[at]; !l.crowded && w.steps > maxSteps && len(l.idle) > maxYounger {
			l.crowded, l.oldest = true, l.spread(w.sessions+rest)
		}
	}
	placed := make(map[ageList]int)
	for i := range records {
		r := &records[i]
		l := a[listOf(r)]
		if l == nil || !l.crowded {
			continue
		}
		n := placed[listOf(r)]
		placed[listOf(r)] = n + 1
		if idle := l.oldest - l.part(n, walks[listOf(r)].sessions+rest); Idle(r, s) > idle {
			r.SetExpires(uint32(s.TTL(uint8(r.Proto()), uint8(r.Timer())).Milliseconds() - idle))
		}
	}
	for at, n := range placed {
		a[at].oldest -= a[at].part(n, n+rest)
	}
}

// spread returns the greatest idle time of n sessions of the peer's table, spread from it to 0, so that the module walks past about as
// many own sessions, which are younger, as past sessions of the peer's, which have the same age: fewer of one kind are more of the other.
func (l *listAges) spread(n int) int64 {
	alike := int64(n) * sameAge / 2 // the mean number of them at a greatest idle time of 1 ms
	younger := maxYounger + sort.Search(len(l.idle)-1-maxYounger, func(k int) bool { return int64(maxYounger+k)*l.idle[maxYounger+k] >= alike })
	return max(l.idle[younger], alike/int64(younger+1))
}

// part returns the part of oldest that n of so many sessions get.
func (l *listAges) part(n, of int) int64 { return l.oldest * int64(n) / int64(of) }
