package worker

import (
	"testing"
	"time"

	"joolctl/replication"
	"joolctl/session"
)

// taken is session n as another host has it, under the same mask.
func taken(n int, idleFor time.Duration) session.Record {
	r := sessionAt(n, idleFor)
	r[8]++ // of src6
	return r
}

// TestForgedTables has a forger send whole tables that give all masks to other
// hosts: as many mappings go as may, and what had to stay out is asked for again.
func TestForgedTables(t *testing.T) {
	t.Parallel()
	const n, may = 2000, 200
	a, b := hosts(t)
	s := newScripted(t, a)
	var old []session.Record
	for i := range n {
		old = append(old, sessionAt(4*i, time.Hour)) // established
	}
	h := newStandby(t, jool4115, b, old...)
	h.start()
	to := s.asked(n)
	var ended time.Time
	before := 0
	for round := range 3 {
		var forged []session.Record
		for i := range n {
			r := taken(4*i, 0)
			r[9] = byte(round)
			forged = append(forged, r)
		}
		began := time.Now()
		h.onThread(func(p *pumps) {
			p.resync.removals = replication.RemovalLimit{}
			p.resync.removals.Spend(replication.MaxRemovals-may, began)
		})
		id := uint32(5 + round)
		s.begin(to, id, n)
		for i := range bulksOf(n) {
			s.bulk(id, i, forged)
		}
		s.end(id, n)
		within(t, 3*patience, "it has ended", func() bool {
			last := h.Sync().Last
			return last != nil && last.At.After(ended)
		})
		r := *h.Sync().Last
		ended = r.At
		most := may + 1 + int(time.Since(began)/replication.RemovalEvery)
		_, _, removed := h.instance.Sessions.Counts()
		if round == 0 && (r.Replaced < may || r.Collisions != n-r.Replaced) || r.Replaced > most || removed-before != r.Replaced {
			t.Errorf("round %d: %d mappings were removed, want at most %d: %+v", round, removed-before, most, r)
		}
		before = removed
		within(t, 3*patience, "what stayed out is asked for again", func() bool {
			state := h.Sync()
			return state.Why == replication.CauseBlocked && state.Phase == asking.String()
		})
	}
	kept := 0
	for _, r := range old {
		if _, there := h.instance.Sessions.Get(r.Key()); there {
			kept++
		}
	}
	if kept < n-before { // some of what went was forged before
		t.Errorf("%d of %d sessions are left, and %d mappings were removed", kept, n, before)
	}
}
