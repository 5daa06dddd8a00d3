package replication

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/syncwire"
)

var start = time.Unix(1_000_000, 0)

func pos(generation uint32, seq syncwire.Seq) syncwire.Position {
	return syncwire.Position{Generation: generation, Seq: seq}
}

// known is a component of a live origin.
func known(origin syncwire.ID, complete, highest syncwire.Position) syncwire.Component {
	return syncwire.Component{Origin: origin, Known: true, Complete: complete, Highest: highest}
}

func unknown(origin syncwire.ID, highest syncwire.Position) syncwire.Component {
	return syncwire.Component{Origin: origin, Highest: highest}
}

// dead is a component of an origin that has been dead for some seconds.
func dead(c syncwire.Component, age uint32) syncwire.Component {
	c.Age = age
	return c
}

func list(c ...syncwire.Component) []syncwire.Component { return c }

// heard takes the named origins to be live.
func heard(origins ...syncwire.ID) func(syncwire.ID) bool {
	return func(id syncwire.ID) bool {
		return slices.Contains(origins, id)
	}
}

// vectorOf is a vector with these components at start.
func vectorOf(components ...syncwire.Component) *Vector {
	var v Vector
	v.Merge(components, start, heard())
	return &v
}

func TestVector(t *testing.T) {
	two := list(known(1, pos(1, 5), pos(1, 7)), unknown(2, pos(0, 3)))
	const wrap = syncwire.Seq(1<<32 - 1)
	for _, c := range []struct {
		name   string
		before []syncwire.Component
		change func(v *Vector)
		want   []syncwire.Component
	}{
		{"Empty, new", nil, func(v *Vector) { v.Empty(1) }, list(known(1, pos(0, 0), pos(0, 0)))},
		{"Empty, nothing known", list(unknown(1, pos(0, 0))), func(v *Vector) { v.Empty(1) }, list(known(1, pos(0, 0), pos(0, 0)))},
		{"Empty, sessions have come", two, func(v *Vector) { v.Empty(1); v.Empty(2) }, two},

		{"Advance, new", nil, func(v *Vector) { v.Advance(1, 5, 4, 4) }, list(unknown(1, pos(0, 4)))},
		{"Advance, next", two, func(v *Vector) { v.Advance(1, 6, 8, 9) }, list(known(1, pos(1, 8), pos(1, 9)), two[1])},
		{"Advance, overlap", two, func(v *Vector) { v.Advance(1, 2, 6, 6) }, list(known(1, pos(1, 6), pos(1, 7)), two[1])},
		{"Advance, gap", two, func(v *Vector) { v.Advance(1, 7, 8, 8) }, list(known(1, pos(1, 5), pos(1, 8)), two[1])},
		{"Advance, nothing new", two, func(v *Vector) { v.Advance(1, 1, 4, 4) }, two},
		{"Advance, not known", two, func(v *Vector) { v.Advance(2, 1, 4, 4) }, list(two[0], unknown(2, pos(0, 4)))},
		{"Advance, wrap", list(known(1, pos(1, wrap-1), pos(1, wrap-1))), func(v *Vector) { v.Advance(1, wrap, 2, 3) },
			list(known(1, pos(1, 2), pos(1, 3)))},
		{"Advance, gap at the wrap", list(known(1, pos(1, wrap), pos(1, wrap))), func(v *Vector) { v.Advance(1, 1, 2, 2) },
			list(known(1, pos(1, wrap), pos(1, 2)))},
		{"Advance, next at the wrap", list(known(1, pos(1, wrap), pos(1, wrap))), func(v *Vector) { v.Advance(1, 0, 2, 2) },
			list(known(1, pos(1, 2), pos(1, 2)))},
		{"Advance, to zero", list(unknown(1, pos(0, wrap))), func(v *Vector) { v.Advance(1, wrap, 0, 0) }, list(unknown(1, pos(1, 0)))},
		{"Advance, zero first", nil, func(v *Vector) { v.Advance(1, 0, 0, 0) }, list(unknown(1, pos(1, 0)))},
		{"Advance, nothing came", nil, func(v *Vector) { v.Advance(1, 1, 0, 0) }, list(unknown(1, pos(0, 0)))},
		{"Advance, the highest number first", nil, func(v *Vector) { v.Advance(1, wrap, wrap-1, wrap-1) }, list(unknown(1, pos(0, wrap-1)))},

		{"Merge, unknown origins and unknown here", list(unknown(1, pos(0, 9))), func(v *Vector) {
			v.Merge(list(known(1, pos(1, 5), pos(1, 6)), known(3, pos(0, 1), pos(0, 1))), start, heard())
		}, list(known(1, pos(1, 5), pos(1, 9)), known(3, pos(0, 1), pos(0, 1)))},
		{"Merge, unknown there", two, func(v *Vector) { v.Merge(list(unknown(1, pos(2, 8))), start, heard()) }, list(known(1, pos(1, 5), pos(2, 8)), two[1])},
		{"Merge, generation and number apart", two, func(v *Vector) { v.Merge(list(known(1, pos(0, 9), pos(2, 9))), start, heard()) },
			list(known(1, pos(1, 9), pos(2, 9)), two[1])},
		{"Merge, less", two, func(v *Vector) { v.Merge(list(known(1, pos(1, 4), pos(1, 4))), start, heard()) }, two},
		{"Merge, itself", two, func(v *Vector) { v.Merge(two, start, heard()) }, two},
		{"Merge, wrap", list(known(1, pos(1, wrap), pos(1, wrap))), func(v *Vector) { v.Merge(list(known(1, pos(1, 2), pos(1, 3))), start, heard()) },
			list(known(1, pos(1, 2), pos(1, 3)))},

		{"Hold raises the highest alone", two, func(v *Vector) {
			v.RaiseHighest(list(known(1, pos(2, 9), pos(2, 9)), known(3, pos(1, 1), pos(1, 2))), start, heard())
		},
			list(known(1, pos(1, 5), pos(2, 9)), two[1], unknown(3, pos(1, 2)))},
		{"RaiseHighest, first sign", list(unknown(1, pos(0, 0))), func(v *Vector) { v.RaiseHighest(list(unknown(1, pos(1, wrap))), start, heard()) }, list(unknown(1, pos(1, wrap)))},
		{"RaiseHighest, the higher age", list(dead(unknown(1, pos(0, 1)), 5), dead(unknown(2, pos(0, 1)), 5)), func(v *Vector) {
			v.RaiseHighest(list(dead(unknown(1, pos(0, 1)), 9), dead(unknown(2, pos(0, 1)), 3)), start, heard())
		}, list(dead(unknown(2, pos(0, 1)), 5), dead(unknown(1, pos(0, 1)), 9))},
		{"RaiseHighest, the age of a later position", list(dead(unknown(1, pos(0, 1)), 9), dead(unknown(2, pos(1, 1)), 3)), func(v *Vector) {
			v.RaiseHighest(list(dead(unknown(1, pos(0, 2)), 5), dead(unknown(2, pos(1, 2)), 4)), start, heard())
		}, list(dead(unknown(2, pos(1, 2)), 4), dead(unknown(1, pos(0, 2)), 5))},
		{"RaiseHighest, not the age of an earlier position", list(dead(unknown(1, pos(0, 2)), 5), dead(unknown(2, pos(1, 2)), 4)), func(v *Vector) {
			v.RaiseHighest(list(dead(unknown(1, pos(0, 1)), 9), dead(unknown(2, pos(1, 1)), 3)), start, heard())
		}, list(dead(unknown(2, pos(1, 2)), 4), dead(unknown(1, pos(0, 2)), 5))},
		{"RaiseHighest, dead there and heard here", two, func(v *Vector) { v.RaiseHighest(list(dead(two[0], 9)), start, heard(1)) }, two},
		{"RaiseHighest, dead there and live until now here", two, func(v *Vector) { v.RaiseHighest(list(dead(two[0], 9)), start, heard()) }, list(two[1], dead(two[0], 9))},

		{"Forget", two, func(v *Vector) { v.Forget(1); v.Forget(9) }, list(unknown(1, pos(1, 7)), two[1])},
		{"ForgetAll", list(two[0], known(3, pos(0, 1), pos(0, 1))), (*Vector).ForgetAll, list(unknown(1, pos(1, 7)), unknown(3, pos(0, 1)))},
		{"Restart", two, func(v *Vector) { v.Restart(1); v.Restart(9) }, list(unknown(1, pos(0, 0)), two[1])},
		{"Lives", list(dead(two[0], 5)), func(v *Vector) { v.Lives(1); v.Lives(9) }, list(two[0])},

		{"Components, by origin and age", list(dead(unknown(1, pos(0, 1)), 30), unknown(4, pos(0, 1)), dead(unknown(3, pos(0, 1)), 2), unknown(2, pos(0, 1)), dead(unknown(5, pos(0, 1)), 30)),
			func(*Vector) {},
			list(unknown(2, pos(0, 1)), unknown(4, pos(0, 1)), dead(unknown(3, pos(0, 1)), 2), dead(unknown(1, pos(0, 1)), 30), dead(unknown(5, pos(0, 1)), 30))},
	} {
		v := vectorOf(c.before...)
		c.change(v)
		if diff := cmp.Diff(c.want, v.Components(start)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestContainsAndGap(t *testing.T) {
	peer := netip.MustParseAddr("fd64::1")
	v := vectorOf(known(1, pos(2, 5), pos(2, 9)), unknown(2, pos(1, 3)), known(3, pos(0, 0), pos(0, 0)), known(4, pos(1, 1<<32-1), pos(1, 1<<32-1)))
	for _, c := range []struct {
		origin syncwire.ID
		at     syncwire.Position
		gap    Gap
		code   Code // "": nothing is missing
	}{
		{origin: 1, at: pos(0, 0)},
		{origin: 1, at: pos(2, 5)},
		{origin: 1, at: pos(1, 4)},
		{1, pos(2, 6), Gap{Origin: 1, Datagrams: 1}, DatagramsMissing},
		{1, pos(0, 8), Gap{Origin: 1, Datagrams: 3}, DatagramsMissing},
		{1, pos(3, 5), Gap{Origin: 1, Generations: 1}, SessionsMissing},
		{1, pos(4, 7), Gap{Origin: 1, Generations: 2, Datagrams: 2}, SessionsMissing},
		{2, pos(1, 1), Gap{Origin: 2, Unknown: true}, NeverCompared},
		{origin: 2, at: pos(0, 0)},
		{origin: 3, at: pos(0, 0)},
		{3, pos(0, 1), Gap{Origin: 3, Datagrams: 1}, DatagramsMissing},
		{4, pos(1, 1), Gap{Origin: 4, Datagrams: 2}, DatagramsMissing},
		{origin: 4, at: pos(1, 1<<32-5)},
		{9, pos(0, 1), Gap{Origin: 9, Unknown: true}, NeverCompared},
		{origin: 9, at: pos(0, 0)},
	} {
		gap, is := v.Gap(c.origin, c.at)
		if diff := cmp.Diff(c.gap, gap); diff != "" || is != (c.code != "") || v.Contains(c.origin, c.at) == is {
			t.Errorf("origin %d up to %v: %v, contains %v (-want +got):\n%s", c.origin, c.at, is, v.Contains(c.origin, c.at), diff)
		}
		if r := gap.Reason(peer); is && (r.Code != c.code || r.Datagrams != uint64(gap.Datagrams) && r.Code == DatagramsMissing || r.Peer != peer.String()) {
			t.Errorf("origin %d up to %v: %+v", c.origin, c.at, r)
		}
	}
}

func TestGet(t *testing.T) {
	want := known(1, pos(1, 5), pos(1, 7))
	v := vectorOf(dead(want, 9))
	got, found := v.Get(1)
	if diff := cmp.Diff(want, got); diff != "" || !found {
		t.Errorf("%v (-want +got):\n%s", found, diff)
	}
	if got, found := v.Get(2); found || got != (syncwire.Component{}) {
		t.Errorf("%+v", got)
	}
}

func TestAge(t *testing.T) {
	const longest = time.Hour
	v := vectorOf(known(1, pos(0, 1), pos(0, 1)), known(2, pos(0, 1), pos(0, 1)))
	live, gone := known(1, pos(0, 1), pos(0, 1)), known(2, pos(0, 1), pos(0, 1))
	for _, c := range []struct {
		after time.Duration
		want  []syncwire.Component
	}{
		{0, list(live, dead(gone, 1))}, // not 0, which is live
		{time.Minute, list(live, dead(gone, 60))},
		{longest + time.Minute, list(live, dead(gone, 3660))},
		{longest + time.Minute + 1, list(live)},
	} {
		now := start.Add(c.after)
		if v.Age(now, longest, heard(1)) {
			t.Errorf("after %v: a component is evicted", c.after)
		}
		if diff := cmp.Diff(c.want, v.Components(now)); diff != "" {
			t.Errorf("after %v (-want +got):\n%s", c.after, diff)
		}
	}
}

func TestAgeEvicts(t *testing.T) {
	isLive := func(id syncwire.ID) bool { return id > 1000 }
	for _, c := range []struct {
		name       string
		live, dead int
		evicted    bool
		left       int
	}{
		{"all fit", 7, MaxOrigins - 7, false, MaxOrigins},
		{"one too many", 7, MaxOrigins - 6, true, MaxOrigins},
		{"many too many", 0, 2 * MaxOrigins, true, MaxOrigins},
		{"too many live ones", MaxOrigins + 3, 0, false, MaxOrigins + 3},
		{"too many live ones and dead ones", MaxOrigins + 3, 2, true, MaxOrigins + 3},
	} {
		var v Vector
		for i := range c.live {
			v.Advance(syncwire.ID(1001+i), 1, 0, 1)
		}
		for i := range c.dead { // the higher the ID, the older
			v.RaiseHighest(list(dead(unknown(syncwire.ID(1+i), pos(0, 1)), uint32(10+i))), start, isLive)
		}
		if evicted := v.Age(start, time.Hour, isLive); evicted != c.evicted {
			t.Errorf("%s: %v", c.name, evicted)
		}
		got := v.Components(start)
		if len(got) != c.left {
			t.Errorf("%s: %d are left", c.name, len(got))
		}
		for i, w := range got[min(c.live, len(got)):] {
			if w.Origin != syncwire.ID(1+i) {
				t.Errorf("%s: origin %d is left", c.name, w.Origin)
			}
		}
	}
}

func TestTakeOver(t *testing.T) {
	gap := dead(known(1, pos(1, 5), pos(2, 8)), 9)
	closed := dead(known(1, pos(1, 5), pos(1, 5)), 9)
	for _, c := range []struct {
		name      string
		before    []syncwire.Component
		peers     [][]syncwire.Component
		want      []syncwire.Component
		datagrams uint64
		took      bool
	}{
		{"a peer that knows nothing of it", list(gap), [][]syncwire.Component{{}}, list(closed), 3, true},
		{"a peer that has as much", list(gap), [][]syncwire.Component{{gap}}, list(closed), 3, true},
		{"a peer that does not know how much it has", list(gap), [][]syncwire.Component{{dead(unknown(1, pos(2, 9)), 4)}}, list(closed), 3, true},
		{"nobody knows how much", list(dead(unknown(1, pos(2, 8)), 9)), [][]syncwire.Component{{}}, []syncwire.Component{}, 0, true},
		{"two origins", list(gap, dead(known(2, pos(1, 1<<32-1), pos(1, 1)), 9)), [][]syncwire.Component{{}}, list(closed, dead(known(2, pos(1, 1<<32-1), pos(1, 1<<32-1)), 9)), 5, true},

		{"no peer", list(gap), nil, list(gap), 0, false},
		{"a live origin", list(known(1, pos(1, 5), pos(2, 8))), [][]syncwire.Component{{}}, list(known(1, pos(1, 5), pos(2, 8))), 0, false},
		{"complete", list(closed), [][]syncwire.Component{{}}, list(closed), 0, false},
		{"a peer hears it", list(gap), [][]syncwire.Component{{}, {known(1, pos(1, 5), pos(2, 8))}}, list(gap), 0, false},
		{"a peer has more datagrams", list(gap), [][]syncwire.Component{{}, {dead(known(1, pos(1, 6), pos(2, 8)), 9)}}, list(gap), 0, false},
		{"a peer has another generation", list(gap), [][]syncwire.Component{{dead(known(1, pos(2, 1), pos(2, 8)), 9)}}, list(gap), 0, false},
		{"a peer has some, this host does not know", list(dead(unknown(1, pos(1, 1)), 9)), [][]syncwire.Component{{dead(known(1, pos(0, 1), pos(2, 8)), 9)}},
			list(dead(unknown(1, pos(1, 1)), 9)), 0, false},
	} {
		v := vectorOf(c.before...)
		datagrams, took := v.TakeOver(c.peers)
		if datagrams != c.datagrams || took != c.took {
			t.Errorf("%s: %d datagrams, %v", c.name, datagrams, took)
		}
		if diff := cmp.Diff(c.want, v.Components(start)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// TestGivenUp has peers claim positions that were given up before.
func TestGivenUp(t *testing.T) {
	gap := dead(known(1, pos(1, 5), pos(2, 8)), 9)
	closed := dead(known(1, pos(1, 5), pos(1, 5)), 9)
	nobody := func(syncwire.ID) bool { return false }
	for _, c := range []struct {
		name   string
		before syncwire.Component
		then   func(v *Vector)
		want   []syncwire.Component
		took   bool
	}{
		{"a peer has not given them up yet", gap, func(v *Vector) { v.RaiseHighest(list(gap), start, nobody) }, list(closed), false},
		{"a peer has fewer", gap, func(v *Vector) { v.RaiseHighest(list(dead(known(1, pos(1, 5), pos(2, 7)), 9)), start, nobody) }, list(closed), false},
		{"a peer has more", gap, func(v *Vector) { v.RaiseHighest(list(dead(known(1, pos(1, 5), pos(2, 9)), 9)), start, nobody) }, list(closed), true},
		{"a peer has received them", gap, func(v *Vector) { v.Merge(list(dead(known(1, pos(2, 7), pos(2, 8)), 9)), start, nobody) }, list(dead(known(1, pos(2, 7), pos(2, 7)), 9)), false},
		{"nobody knows how many there were", dead(unknown(1, pos(2, 8)), 9), func(v *Vector) { v.RaiseHighest(list(gap), start, nobody) }, []syncwire.Component{}, false},
		{"the origin is there again", gap, func(v *Vector) { v.Lives(1); v.RaiseHighest(list(gap), start, nobody) }, list(closed), true},
	} {
		v := vectorOf(c.before)
		if _, took := v.TakeOver([][]syncwire.Component{{}}); !took {
			t.Errorf("%s: nothing is given up at first", c.name)
		}
		c.then(v)
		if _, took := v.TakeOver([][]syncwire.Component{{}}); took != c.took {
			t.Errorf("%s: the generation rises again: %v", c.name, took)
		}
		if diff := cmp.Diff(c.want, v.Components(start)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// TestLimit has an origin say that it has sent no datagram after one that the vector claims.
func TestLimit(t *testing.T) {
	at := func(seq syncwire.Seq) syncwire.Position { return syncwire.Position{Generation: 2, Seq: seq} }
	for _, c := range []struct {
		name                            string
		complete, highest               syncwire.Seq
		last, wantComplete, wantHighest syncwire.Seq
	}{
		{"both are higher", 9, 12, 5, 5, 5},
		{"one is higher", 4, 12, 5, 4, 5},
		{"none is", 4, 5, 5, 4, 5},
	} {
		var v Vector
		v.Merge([]syncwire.Component{{Origin: 7, Known: true, Complete: at(c.complete), Highest: at(c.highest)}}, time.Time{}, func(syncwire.ID) bool { return true })
		v.Limit(7, c.last)
		if got, _ := v.Get(7); got.Complete != at(c.wantComplete) || got.Highest != at(c.wantHighest) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}
