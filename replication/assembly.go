package replication

import (
	"slices"
	"time"

	"joolctl/session"
	"joolctl/syncwire"
)

// maxLookahead bounds how many BULKs may be missing before one that is accepted, beside eight times those that have arrived:
// a forged index must not take memory.
const maxLookahead = 2048

// Assembly collects the session table that a full sync transfers, from BULKs in any order. The zero value expects an empty
// table.
type Assembly struct {
	expected uint32           // sessions
	records  []session.Record // those of BULK i begin at i × syncwire.MaxBulk
	have     []uint64         // bitmap of BULKs
	got      uint32           // BULKs
	sessions uint32           // in these
	bulks    uint32           // that END announced
	ended    bool
}

// NewAssembly returns an Assembly for a table of so many sessions.
func NewAssembly(sessions uint32) Assembly { return Assembly{expected: sessions} }

// Expect changes the number of sessions, as a repeated BEGIN announces it, unless a BULK has arrived. It returns whether it
// did.
func (a *Assembly) Expect(sessions uint32) bool {
	if a.got > 0 {
		return false
	}
	a.expected = sessions
	return true
}

// total returns the number of BULKs of the expected sessions.
func (a *Assembly) total() uint32 { return (a.expected + syncwire.MaxBulk - 1) / syncwire.MaxBulk }

// Add copies the records of BULK index, and adds later, which is the time since the moment whose times left the table is to
// have, to theirs. It returns false if it does not accept the BULK, and an error for the first record that fails
// session.Record.Check.
func (a *Assembly) Add(index uint32, records []byte, later time.Duration) (added bool, err error) {
	total := a.total()
	if index >= total || index < total-1 && len(records) != syncwire.MaxBulk*syncwire.RecordLen {
		return false, nil // BEGIN's number was a guess, and the BEGIN with the right one is lost
	}
	for i := 0; i < len(records); i += syncwire.RecordLen {
		if r := session.Record(records[i:]); r.Check() != nil {
			return false, r.Check()
		}
	}
	if index > maxLookahead+8*a.got || a.has(index) {
		return false, nil
	}
	if a.have == nil {
		a.have = make([]uint64, (total+63)/64)
	}
	at := int(index) * syncwire.MaxBulk
	if need := at + len(records)/syncwire.RecordLen; need > len(a.records) {
		a.grow(need)
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
	return true, nil
}

func (a *Assembly) has(index uint32) bool {
	return a.have != nil && a.have[index/64]&(1<<(index%64)) != 0
}

// grow makes room for n records: for all that were announced once an eighth of them has arrived, so that a false number
// takes little memory.
func (a *Assembly) grow(n int) {
	if n > cap(a.records) {
		size := max(2*n, 1<<12)
		if n > int(a.expected)/8 {
			size = int(a.expected)
		}
		a.records = slices.Grow(a.records, min(max(size, n), int(a.expected)+syncwire.MaxBulk)-len(a.records))
	}
	a.records = a.records[:n]
}

// End takes the numbers of sessions and BULKs of an END. If the number of sessions is not the expected one, the BULKs that
// have arrived are dropped. End returns false if the two numbers don't belong together.
func (a *Assembly) End(sessions, bulks uint32) bool {
	if sessions != a.expected { // the BEGIN with the right number is lost
		*a = Assembly{expected: sessions}
	}
	a.ended, a.bulks = true, bulks
	return bulks == a.total()
}

// Complete reports whether END and all BULKs have arrived.
func (a *Assembly) Complete() bool { return a.ended && a.got == a.bulks }

// Missing returns which BULKs to request in a NACK, at most syncwire.MaxRanges ranges. If none is missing, Missing returns
// the last one, because END follows it.
func (a *Assembly) Missing() []syncwire.Range {
	var ranges []syncwire.Range
	total := a.total()
	for i := range total {
		if a.has(i) {
			continue
		}
		if len(ranges) == syncwire.MaxRanges && ranges[len(ranges)-1].To+1 != i {
			break
		}
		ranges = AppendRange(ranges, i)
	}
	if len(ranges) == 0 {
		last := max(total, 1) - 1
		ranges = append(ranges, syncwire.Range{From: last, To: last})
	}
	return ranges
}

// Bulks returns how many BULKs have arrived.
func (a *Assembly) Bulks() uint32 { return a.got }

// Sessions returns how many sessions have arrived, and how many are expected.
func (a *Assembly) Sessions() (got, expected uint32) { return a.sessions, a.expected }

// Records returns the records of a complete table. It aliases the Assembly's memory.
func (a *Assembly) Records() []session.Record { return a.records[:a.sessions] }

// Release drops the records; the numbers stay.
func (a *Assembly) Release() { a.records = nil }
