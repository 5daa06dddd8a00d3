package worker

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/session"
)

// taken is session n as another host has it, under the same mask.
func taken(n int, idleFor time.Duration) session.Record {
	r := sessionAt(n, idleFor)
	r[8]++ // of src6
	return r
}

// TestClearWay gives what is to be injected and what is there.
func TestClearWay(t *testing.T) {
	const old = 20 * time.Second
	list := func(r ...session.Record) []session.Record { return r }
	moved := sessionAt(0, 0)
	moved[19]++ // another mask for the same host
	second := sessionAt(0, old)
	second[23]++ // the same mask, to another IPv4 host
	type result struct {
		Injected, Removed, Blocked int
		Limited                    bool
	}
	for _, c := range []struct {
		name        string
		inject, own []session.Record
		touched     []session.Record
		most        int
		want        result
	}{
		{"nothing in the way", list(taken(0, 0)), list(sessionAt(4, old)), nil, 9, result{Injected: 1}},
		{"older", list(taken(0, 0)), list(sessionAt(0, old)), nil, 9, result{Injected: 1, Removed: 1}},
		{"its host has an older mask", list(moved), list(sessionAt(0, old)), nil, 9, result{Injected: 1, Removed: 1}},
		{"as young", list(taken(0, old)), list(sessionAt(0, old)), nil, 9, result{Blocked: 1}},
		{"as young and of a higher host", list(sessionAt(0, old)), list(taken(0, old)), nil, 9, result{Injected: 1, Removed: 1}},
		{"its host has a mask that is as young and lower", list(moved), list(sessionAt(0, 0)), nil, 9, result{Blocked: 1}},
		{"its host has a mask that is as young and higher", list(sessionAt(0, 0)), list(moved), nil, 9, result{Injected: 1, Removed: 1}},
		{"one of two is younger", list(taken(0, old/2)), list(second, sessionAt(0, 0)), nil, 9, result{Blocked: 1}},
		{"reported meanwhile", list(taken(0, 0)), list(sessionAt(0, old)), list(sessionAt(0, 0)), 9, result{Blocked: 1}},
		{"another session of its host was reported meanwhile", list(taken(0, 0)), list(sessionAt(0, old)), list(second), 9, result{Blocked: 1}},
		{"as many as may go", list(taken(0, 0), taken(4, 0)), list(sessionAt(0, old), sessionAt(4, old)), nil, 2, result{Injected: 2, Removed: 2}},
		{"one too many", list(taken(0, 0), taken(4, 0)), list(sessionAt(0, old), sessionAt(4, old)), nil, 1,
			result{Injected: 1, Removed: 1, Blocked: 1, Limited: true}},
		{"two in one's way, one may go", list(moved), list(sessionAt(0, old), masked(taken(0, old), moved[19])), nil, 1, result{Blocked: 1, Limited: true}},
		{"the same one again", list(taken(0, 0), func() session.Record { r := taken(0, 0); r[23]++; return r }()), list(sessionAt(0, old)), nil, 1,
			result{Injected: 2, Removed: 1}},
		{"none may go", list(taken(0, 0)), list(sessionAt(0, old)), nil, 0, result{Blocked: 1, Limited: true}},
	} {
		touched := make(map[session.Key]struct{})
		for _, r := range c.touched {
			touched[r.Key()] = struct{}{}
		}
		d := difference{inject: slices.Clone(c.inject), fresh: len(c.inject), give: slices.Clone(c.own)}
		d.clearWay(c.own, ttl, touched, c.most)
		if diff := cmp.Diff(c.want, result{len(d.inject), len(d.old), d.blocked, d.limited}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		if d.fresh != len(d.inject) {
			t.Errorf("%s: %d are new of %d", c.name, d.fresh, len(d.inject))
		}
		for _, r := range d.give {
			if slices.Contains(d.old, maskOf(&r)) {
				t.Errorf("%s: what is removed is given to the peer", c.name)
			}
		}
	}
}

// TestMayClear lets time pass between removals.
func TestMayClear(t *testing.T) {
	var r resync
	now := time.Unix(1_000_000, 0)
	may := func(want int) {
		t.Helper()
		if got := r.mayClear(now); got != want {
			t.Errorf("%d may go, want %d", got, want)
		}
	}
	may(maxCleared)
	r.cleared(1000, now)
	may(maxCleared - 1000)
	r.cleared(maxCleared-1000, now)
	may(0)
	now = now.Add(clearEvery - 1)
	may(0)
	now = now.Add(1)
	may(1)
	r.cleared(1, now)
	may(0)
	now = now.Add(clearedIn / 2)
	may(maxCleared / 2)
	now = now.Add(365 * 24 * time.Hour)
	may(maxCleared)
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
		h.onThread(func(p *pumps) { p.resync.clearing = began.Add(clearedIn - may*clearEvery) })
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
		most := may + 1 + int(time.Since(began)/clearEvery)
		_, _, removed := h.instance.Sessions.Counts()
		if round == 0 && (r.Replaced < may || r.Collisions != n-r.Replaced) || r.Replaced > most || removed-before != r.Replaced {
			t.Errorf("round %d: %d mappings were removed, want at most %d: %+v", round, removed-before, most, r)
		}
		before = removed
		within(t, 3*patience, "what stayed out is asked for again", func() bool {
			state := h.Sync()
			return state.Why == whyInTheWay && state.Phase == asking.String()
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
