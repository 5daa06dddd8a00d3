package replication

import (
	"slices"
	"testing"

	"joolctl/session"
)

// TestRejuvenate injects sessions into a large table.
func TestRejuvenate(t *testing.T) {
	const own, piece = 20_000, 10_000
	var table []session.Record
	for i := range own {
		table = append(table, est(i, ours, int64(10*i))) // idle for up to 200 s
	}
	a := agesOf(table, ours)
	old := func(n int) (records []session.Record) {
		for i := range n {
			records = append(records, est(own+i, ours, 199_999))
		}
		return records
	}
	few := old(piece / 5)
	before := slices.Clone(few)
	if a.rejuvenate(few, 0, ours); !slices.Equal(few, before) {
		t.Error("sessions that cost little are changed")
	}
	many := append(old(piece), closing(2*own+1, ours, 100_000), est(2*own, ours, 5))
	a.rejuvenate(many, piece, ours)
	for i := range many[:piece] {
		if n := a[listOf(&many[i])].younger(&many[i], ours); n > maxYounger+1 {
			t.Fatalf("%d own sessions are younger", n)
		}
	}
	if idle := Idle(&many[piece], ours); idle != 100_000 {
		t.Errorf("a session of a short list has been idle for %d ms", idle)
	}
	if idle := Idle(&many[piece+1], ours); idle != 5 {
		t.Errorf("a young session has been idle for %d ms", idle)
	}
	after := old(1)
	if a.rejuvenate(after, 0, ours); Idle(&after[0], ours) > Idle(&many[piece-1], ours) {
		t.Error("a later session is placed behind those that were made younger")
	}
}

// TestSteps counts the steps that a module walks for the pieces of a large table, beside a large own one. A module's clock
// has steps of 4 ms.
func TestSteps(t *testing.T) {
	const (
		sessions, pieces, jiffy = 30_000, 4, 4
		most                    = 6000 // for each session; without rejuvenation, 15,000
	)
	for _, c := range []struct {
		name string
		idle func(i int) int64 // of both tables' sessions, the oldest first
	}{
		{"spread over 50 s", func(i int) int64 { return 10_000 + int64(sessions-i)*50_000/sessions }},
		{"spread over 300 ms", func(i int) int64 { return int64(sessions-i) * 300 / sessions }},
	} {
		t.Run(c.name, func(t *testing.T) {
			var own, list []session.Record
			for i := range sessions {
				own = append(own, est(i, ours, c.idle(i)))
			}
			list = slices.Clone(own)
			byAge := func(x, y session.Record) int { return int(Idle(&y, ours)/jiffy - Idle(&x, ours)/jiffy) } // oldest first
			slices.SortStableFunc(list, byAge)
			comparison := NewComparison(own, ours, ours, 2000)
			steps := 0
			for p := range pieces {
				var piece []session.Record
				for i := range sessions / pieces {
					place := p*sessions/pieces + i
					piece = append(piece, est(sessions+place, ours, c.idle(place)))
				}
				for _, r := range comparison.Piece(piece, sessions-len(piece)*(p+1), nil, MaxRemovals).Inject {
					at, _ := slices.BinarySearchFunc(list, r, byAge) // behind all that are older
					steps += len(list) - at
					list = slices.Insert(list, at, r)
				}
			}
			if got := len(list); got != 2*sessions {
				t.Fatalf("%d sessions", got)
			}
			if n := steps / sessions; n > most {
				t.Errorf("%d steps for each session, may be %d", n, most)
			}
		})
	}
}

// TestSpread: the module does not walk past many more sessions than it must, whichever table is the larger or quicker one.
func TestSpread(t *testing.T) {
	for _, c := range []struct {
		name      string
		own       int
		perSecond int // own sessions that become a second older
		peer      int
		most      int // steps for a session of the peer's
	}{
		{"few own sessions", 5_000, 100, 1_000_000, 5_000},
		{"both large", 1_000_000, 50_000, 1_000_000, 21_000},
		{"both large, and busier", 1_000_000, 500_000, 1_000_000, 64_000},
		{"both as large as possible", 10_000_000, 50_000, 10_000_000, 64_000},
		{"no time between the own ones", 100_000, 100_000_000, 100_000, 200_000},
	} {
		l := new(listAges)
		for i := range c.own {
			l.idle = append(l.idle, int64(i)*1000/int64(c.perSecond))
		}
		oldest := l.spread(c.peer)
		younger, _ := slices.BinarySearch(l.idle, oldest+1)
		if steps := younger + c.peer*sameAge/2/int(oldest); steps > c.most {
			t.Errorf("%s: over %d ms, %d steps, may be %d", c.name, oldest, steps, c.most)
		}
	}
}
