package replication

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

// TestResolveConflicts compares sessions to inject with the own table.
func TestResolveConflicts(t *testing.T) {
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
		{"an older one follows it", list(func() session.Record { r := masked(sessionAt(0, 2*old), moved[19]); r[23]++; return r }(), moved),
			list(sessionAt(0, old)), nil, 1, result{Injected: 2, Removed: 1}},
		{"none may go", list(taken(0, 0)), list(sessionAt(0, old)), nil, 0, result{Blocked: 1, Limited: true}},
	} {
		live := make(map[reportedMapping]struct{})
		for _, r := range c.touched {
			live[reportedMapping{host: hostOf(&r)}] = struct{}{}
		}
		d := Difference{Inject: slices.Clone(c.inject), Fresh: len(c.inject), Give: slices.Clone(c.own)}
		d.ResolveConflicts(c.own, ttl, live, c.most)
		if diff := cmp.Diff(c.want, result{len(d.Inject), len(d.Remove), d.Blocked, d.Limited}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		if d.Fresh != len(d.Inject) {
			t.Errorf("%s: %d are new of %d", c.name, d.Fresh, len(d.Inject))
		}
		for _, r := range d.Give {
			if slices.Contains(d.Remove, maskOf(&r)) {
				t.Errorf("%s: the peer is given a session whose BIB entry is removed", c.name)
			}
		}
	}
}

// TestRemovalLimit lets time pass between removals.
func TestRemovalLimit(t *testing.T) {
	var l RemovalLimit
	now := time.Unix(1_000_000, 0)
	may := func(want int) {
		t.Helper()
		if got := l.Left(now); got != want {
			t.Errorf("%d may go, want %d", got, want)
		}
	}
	may(MaxRemovals)
	l.Spend(1000, now)
	may(MaxRemovals - 1000)
	l.Spend(MaxRemovals-1000, now)
	may(0)
	now = now.Add(RemovalEvery - 1)
	may(0)
	now = now.Add(1)
	may(1)
	l.Spend(1, now)
	may(0)
	now = now.Add(RemovalsIn / 2)
	may(MaxRemovals / 2)
	now = now.Add(365 * 24 * time.Hour)
	may(MaxRemovals)
}
