package replication

import (
	"slices"
	"time"

	"joolctl/session"
	"joolctl/syncwire"
)

// maxLookahead bounds how many BULKs may be missing before one that is accepted, beside eight times those that have arrived,
// and how many more may arrive than twice those that BEGIN announced: a forged index must not take memory.
const maxLookahead = 2048

// Assembly puts the BULKs of a full sync in order, in which they are taken piece by piece.
type Assembly struct {
	expected uint32           // sessions
	perBulk  int              // sessions in each BULK but the last
	records  []session.Record // those of BULK i begin at (i - taken) × perBulk
	have     []uint64         // bitmap of BULKs
	got      uint32           // BULKs
	next     uint32           // all BULKs before it have arrived
	top      uint32           // no BULK from it on has arrived
	short    bool             // the BULK before top is not full, so it is the last
	taken    uint32           // all BULKs before it were taken
	sessions uint32           // in the BULKs that have arrived
	bulks    uint32           // that END announced
	ended    bool
}

// NewAssembly returns an Assembly for a table of so many sessions, of which each BULK has perBulk.
func NewAssembly(sessions uint32, perBulk int) Assembly {
	return Assembly{expected: sessions, perBulk: perBulk}
}

// Expect changes the number of sessions, as a repeated BEGIN announces it, unless a BULK has arrived. It returns whether it
// did.
func (a *Assembly) Expect(sessions uint32) bool {
	if a.got > 0 {
		return false
	}
	a.expected = sessions
	return true
}

// bulksOf returns the number of BULKs of so many sessions.
func (a *Assembly) bulksOf(sessions uint32) uint32 {
	per := uint64(a.perBulk)
	return uint32((uint64(sessions) + per - 1) / per)
}

// Add copies the records of BULK index, and adds later, which is the time since the moment whose times left the table is to
// have, to theirs. It returns false if it does not accept the BULK, and an error for the first record that fails
// session.Record.Check.
func (a *Assembly) Add(index uint32, records []byte, later time.Duration) (added bool, err error) {
	short := len(records) != a.perBulk*syncwire.RecordLen
	if short && (len(records) > a.perBulk*syncwire.RecordLen || index+1 != a.bulksOf(a.expected) || index < a.top) || a.short && index >= a.top {
		return false, nil // BEGIN's number was an estimate, and the BEGIN with the right one is lost
	}
	for i := 0; i < len(records); i += syncwire.RecordLen {
		if r := session.Record(records[i:]); r.Check() != nil {
			return false, r.Check()
		}
	}
	if index > maxLookahead+8*a.got || index > maxLookahead+2*a.bulksOf(a.expected) || a.has(index) {
		return false, nil
	}
	for int(index/64) >= len(a.have) {
		a.have = append(a.have, 0)
	}
	at := int(index-a.taken) * a.perBulk
	if need := at + len(records)/syncwire.RecordLen; need > len(a.records) {
		a.records = slices.Grow(a.records, need-len(a.records))[:need]
	}
	ms := uint32(max(later.Milliseconds(), 0))
	for i := 0; i < len(records); i += syncwire.RecordLen {
		r := session.Record(records[i:])
		left := r.Expires()
		r.SetExpires(left + min(ms, 1<<32-1-left))
		a.records[at+i/syncwire.RecordLen] = r
	}
	a.have[index/64] |= 1 << (index % 64)
	a.got++
	a.sessions += uint32(len(records) / syncwire.RecordLen)
	a.top, a.short = max(a.top, index+1), a.short || short
	for a.has(a.next) {
		a.next++
	}
	return true, nil
}

func (a *Assembly) has(index uint32) bool {
	return int(index/64) < len(a.have) && a.have[index/64]&(1<<(index%64)) != 0
}

// End takes the numbers of sessions and BULKs of an END. It returns false if they don't belong together, or do not agree
// with the BULKs that have arrived.
func (a *Assembly) End(sessions, bulks uint32) bool {
	a.expected, a.ended, a.bulks = sessions, true, bulks
	return bulks == a.bulksOf(sessions) && a.top <= bulks && !(a.short && a.top < bulks) && !(a.Complete() && a.sessions != sessions)
}

// Complete reports whether END and all BULKs have arrived.
func (a *Assembly) Complete() bool { return a.ended && a.next == a.bulks }

// Ready returns how many sessions Take would return.
func (a *Assembly) Ready() int { return min(int(a.next-a.taken)*a.perBulk, len(a.records)) }

// Take returns the records of the BULKs that follow those that were taken, without a gap. The memory is the caller's, and has no room
// for more: pieces are kept until all have been injected. The Assembly's own memory is used again for the next piece.
func (a *Assembly) Take() []session.Record {
	n := a.Ready()
	piece := slices.Clone(a.records[:n])
	a.records = a.records[:copy(a.records, a.records[n:])]
	a.taken = a.next
	return piece
}

// Rest returns how many of the expected sessions were not taken yet.
func (a *Assembly) Rest() int {
	return max(0, int(int64(a.expected)-int64(a.taken)*int64(a.perBulk)))
}

// Taken reports whether BULKs were taken.
func (a *Assembly) Taken() bool { return a.taken > 0 }

// Missing returns which BULKs to request in a NACK, at most syncwire.MaxRanges ranges. If none is missing, Missing returns
// the last one, because END follows it.
func (a *Assembly) Missing() []syncwire.Range {
	var ranges []syncwire.Range
	total := a.bulksOf(a.expected)
	for i := a.next; i < min(a.top+1, total); i++ {
		if a.has(i) {
			continue
		}
		if len(ranges) == syncwire.MaxRanges && ranges[len(ranges)-1].To+1 != i {
			break
		}
		ranges = AppendRange(ranges, i)
	}
	if n := len(ranges); n > 0 && ranges[n-1].To == a.top && a.top < total {
		ranges[n-1].To = total - 1 // no BULK from top on has arrived
	}
	if len(ranges) == 0 {
		last := max(total, 1) - 1
		ranges = append(ranges, syncwire.Range{From: last, To: last})
	}
	return ranges
}

// Sessions returns how many sessions have arrived, and how many are expected.
func (a *Assembly) Sessions() (got, expected uint32) { return a.sessions, a.expected }
