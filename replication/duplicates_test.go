package replication

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"joolctl/session"
)

// TestDropDuplicates has sessions occur several times, under different masks.
func TestDropDuplicates(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for round := range 200 {
		var records []session.Record
		for range rnd.IntN(60) {
			r := sessionAt(rnd.IntN(30), time.Duration(rnd.IntN(50))*time.Second)
			r[19] = byte(rnd.IntN(3))
			records = append(records, r)
		}
		want := Unique(slices.Clone(records), ttl)
		got := dropDuplicates(slices.Clone(records), ttl, make([]ranked, len(records)))
		if !slices.IsSortedFunc(got, func(a, b session.Record) int { return slices.Index(records, a) - slices.Index(records, b) }) {
			t.Fatalf("round %d: the order has changed", round)
		}
		byKey(got)
		if len(got) != len(want) {
			t.Fatalf("round %d: %d records, want %d", round, len(got), len(want))
		}
		for i := range got {
			if compareKeys(&got[i], &want[i]) != 0 || Idle(&got[i], ttl) != Idle(&want[i], ttl) {
				t.Fatalf("round %d: %x, want %x", round, got[i], want[i])
			}
		}
	}
}

// TestSenderDropsDuplicates has a session change its mask while the table is read, so that the table contains it twice.
func TestSenderDropsDuplicates(t *testing.T) {
	h := newSenderHost(time.Millisecond)
	again := h.table.Records[5]
	again[19]++
	sessions := len(h.table.Records)
	h.table.Records = append(h.table.Records, again)
	h.Solicited(1, h.now)
	h.run(time.Second, func() {})
	if got := len(h.sent[0].table.Records); got != sessions {
		t.Errorf("%d sessions were sent, want %d", got, sessions)
	}
}
