package replication

import (
	"time"

	"joolctl/syncwire"
)

const (
	// TransferTick is how often Transfer.Send has to be called.
	TransferTick = 2 * time.Millisecond
	// The rates are in BULKs per tick. The rate begins with FirstRate, rises while nothing is lost, and halves when something
	// is.
	FirstRate         = 4
	MinRate           = 1
	MaxRate           = 16
	raiseRateEvery    = 50 * time.Millisecond
	lowerRateAtMostIn = 20 * time.Millisecond
	// MaxRetransmissions bounds how many times a full sync's BULKs are retransmitted, on average, so that a receiver's NACKs can't
	// keep it going for ever.
	MaxRetransmissions = 4
	// graceBULKs is added to the number of BULKs for that: END of a small table may have to be sent as often as that of a large one.
	graceBULKs = 32
)

// Transfer decides which BULKs of a full sync to send at a tick: retransmissions first, then those that were not sent yet,
// then END. The zero value is a table without sessions.
type Transfer struct {
	bulks           uint32
	next            uint32   // the first that was not sent yet
	again           []uint32 // to retransmit, in the order of the NACKs
	queued          []uint64 // bitmap of again
	retransmissions uint64   // retransmissions and NACKs so far
	rate            int
	changed         time.Time // when the rate last changed
	ended           time.Time // when END was last sent; zero: not yet, or BULKs were requested since
}

// NewTransfer returns the Transfer of a table of so many sessions, of which each BULK has perBulk.
func NewTransfer(sessions, perBulk int) Transfer {
	return Transfer{bulks: uint32((sessions + perBulk - 1) / perBulk), rate: FirstRate}
}

// Bulks returns how many BULKs the table has.
func (t *Transfer) Bulks() uint32 { return t.bulks }

// Pending reports whether Send has something to send.
func (t *Transfer) Pending() bool { return len(t.again) > 0 || t.ended.IsZero() }

// Ended returns when END was last sent; zero: it is still to be sent.
func (t *Transfer) Ended() time.Time { return t.ended }

// Send calls bulk for each BULK to send at this tick, with its index, and end for END.
func (t *Transfer) Send(now time.Time, bulk func(index uint32), end func()) {
	for range t.rate {
		switch {
		case len(t.again) > 0:
			i := t.again[0]
			t.again = t.again[1:]
			t.queued[i/64] &^= 1 << (i % 64)
			bulk(i)
		case t.next < t.bulks:
			bulk(t.next)
			t.next++
		case t.ended.IsZero():
			t.ended = now
			end()
		}
	}
	if t.rate < MaxRate && now.Sub(t.changed) > raiseRateEvery {
		t.rate, t.changed = t.rate+1, now
	}
}

// Exhausted reports whether the limit on retransmitted BULKs is reached.
func (t *Transfer) Exhausted() bool {
	return t.retransmissions > MaxRetransmissions*uint64(t.bulks+graceBULKs)
}

// Request takes a NACK: those of the BULKs that were sent are sent again, and END after them. While the table is being sent
// (sending), a NACK for BULKs that were not sent yet changes nothing: they are sent anyway.
func (t *Transfer) Request(ranges []syncwire.Range, sending bool, now time.Time) {
	t.retransmissions++
	if some := t.queue(ranges); !some && sending {
		return
	}
	if now.Sub(t.changed) > lowerRateAtMostIn {
		t.rate, t.changed = max(t.rate/2, MinRate), now
	}
	t.ended = time.Time{}
}

// queue adds to again those BULKs that were sent. It returns false if none was.
func (t *Transfer) queue(ranges []syncwire.Range) (some bool) {
	if t.queued == nil {
		t.queued = make([]uint64, (t.bulks+63)/64)
	}
	looked := uint32(0) // overlapping ranges must not cost more than the whole table
	for _, r := range ranges {
		for i := r.From; i <= r.To && i < t.next && looked < t.bulks; i++ {
			looked++
			some = true
			if t.queued[i/64]&(1<<(i%64)) == 0 {
				t.queued[i/64] |= 1 << (i % 64)
				t.again = append(t.again, i)
				t.retransmissions++
			}
		}
	}
	return some
}
