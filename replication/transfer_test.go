package replication

import (
	"slices"
	"testing"
	"time"

	"joolctl/syncwire"
)

// sending drives a Transfer in virtual time.
type sending struct {
	Transfer
	now   time.Time
	bulks []uint32
	ends  int
}

func newSending(bulks int) *sending {
	return &sending{Transfer: NewTransfer(bulks*syncwire.MaxBulk, syncwire.MaxBulk), now: time.Unix(1_000_000, 0)}
}

// tick returns how many BULKs were sent at a tick.
func (s *sending) tick() int {
	before := len(s.bulks)
	s.now = s.now.Add(TransferTick)
	s.Send(s.now, func(i uint32) { s.bulks = append(s.bulks, i) }, func() { s.ends++ })
	return len(s.bulks) - before
}

func (s *sending) all() (bulks []uint32) {
	for range 10_000 {
		if !s.Pending() {
			break
		}
		s.tick()
	}
	bulks, s.bulks = s.bulks, nil
	return bulks
}

func TestTransfer(t *testing.T) {
	for _, n := range []int{0, 1, 5, 1000} {
		s := newSending(n)
		got := s.all()
		if len(got) != n || !slices.IsSorted(got) || s.ends != 1 || s.Ended().IsZero() {
			t.Errorf("%d BULKs: %d were sent, and %d ENDs", n, len(got), s.ends)
		}
		if s.tick() != 0 || s.ends != 1 {
			t.Errorf("%d BULKs: more is sent after END", n)
		}
	}
	if n := NewTransfer(syncwire.MaxBulk+1, syncwire.MaxBulk); n.Bulks() != 2 {
		t.Errorf("%d BULKs, want 2", n.Bulks())
	}
}

// TestTransferRequest requests BULKs while the table is sent, and after END.
func TestTransferRequest(t *testing.T) {
	s := newSending(100)
	for s.next < 20 {
		s.tick()
	}
	sent := s.next
	s.Request([]syncwire.Range{{From: 50, To: 99}}, true, s.now) // not sent yet
	s.Request([]syncwire.Range{{From: 3, To: 4}, {From: 4, To: 5}}, true, s.now)
	s.bulks = nil
	got := s.all()
	if want := []uint32{3, 4, 5, sent}; !slices.Equal(got[:4], want) || len(got) != 3+100-int(sent) || s.ends != 1 {
		t.Errorf("sent %v, and %d ENDs", got, s.ends)
	}
	s.Request([]syncwire.Range{{From: 98, To: 200}}, false, s.now)
	if got := s.all(); !slices.Equal(got, []uint32{98, 99}) || s.ends != 2 {
		t.Errorf("after END: sent %v, and %d ENDs in all", got, s.ends)
	}
	s.Request([]syncwire.Range{{From: 100, To: 100}}, false, s.now) // only END is missing
	if got := s.all(); len(got) != 0 || s.ends != 3 {
		t.Errorf("for END: sent %v, and %d ENDs in all", got, s.ends)
	}
}

func TestTransferRate(t *testing.T) {
	s := newSending(100_000)
	first := s.tick()
	for range 1000 {
		s.tick()
	}
	if got := s.tick(); first != FirstRate || got != MaxRate {
		t.Errorf("%d BULKs at the first tick, then %d", first, got)
	}
	for range 10 {
		s.now = s.now.Add(lowerRateAtMostIn)
		s.Request([]syncwire.Range{{From: 0, To: 0}}, true, s.now)
		s.tick()
	}
	if got := s.tick(); got != MinRate {
		t.Errorf("%d BULKs at a tick after losses, want %d", got, MinRate)
	}
}

// TestTransferExhausted requests everything again and again.
func TestTransferExhausted(t *testing.T) {
	s := newSending(10)
	s.all()
	total := 0
	for range 1000 {
		if s.Exhausted() {
			break
		}
		s.Request([]syncwire.Range{{From: 0, To: 9}}, false, s.now)
		total += len(s.all())
	}
	if most := (MaxRetransmissions + 1) * (10 + graceBULKs); !s.Exhausted() || total > most {
		t.Errorf("%d BULKs were sent again, want at most %d", total, most)
	}
}
