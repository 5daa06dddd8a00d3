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
	if a.rejuvenate(few, ours); !slices.Equal(few, before) {
		t.Error("sessions that cost little are changed")
	}
	many := append(old(piece), est(2*own, ours, 5), closing(2*own+1, ours, 100_000))
	a.rejuvenate(many, ours)
	for i := range many[:piece] {
		if n := a[listOf(&many[i])].younger(&many[i], ours); n != maxYounger {
			t.Fatalf("%d own sessions are younger", n)
		}
	}
	if idle := Idle(&many[piece], ours); idle != 5 {
		t.Errorf("a young session has been idle for %d ms", idle)
	}
	if idle := Idle(&many[piece+1], ours); idle != 100_000 {
		t.Errorf("a session of a short list has been idle for %d ms", idle)
	}
	after := old(1)
	if a.rejuvenate(after, ours); a[listOf(&after[0])].younger(&after[0], ours) != maxYounger {
		t.Error("a later session is placed behind those that were made younger")
	}
}
