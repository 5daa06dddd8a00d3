package worker

import (
	"time"

	"joolctl/session"
	"joolctl/syncwire"
)

const (
	// ringDatagrams (a power of two) of up to ringDatagramLen bytes are kept for
	// those who missed them: 1.5 MB.
	ringDatagrams   = 1 << 10
	ringDatagramLen = 1456
)

// ring keeps the last datagrams that were sent, as their sessions in the
// module's format, without trailers.
type ring struct {
	slots []ringSlot
	data  []byte
	last  syncwire.Seq // the newest
	n     int          // how many there are
	// index is newest's: of what was sent from from to upTo.
	index      map[session.Key]syncwire.Seq
	from, upTo syncwire.Seq
}

type ringSlot struct {
	len      int
	sent     time.Time
	repeated time.Time // last
}

// put keeps a datagram. Longer ones than any that fits a frame are not kept.
func (r *ring) put(seq syncwire.Seq, entries []byte, now time.Time) {
	if r.slots == nil {
		r.slots = make([]ringSlot, ringDatagrams)
		r.data = make([]byte, ringDatagrams*ringDatagramLen)
	}
	i := int(seq % ringDatagrams)
	r.slots[i] = ringSlot{sent: now}
	if len(entries) <= ringDatagramLen {
		r.slots[i].len = copy(r.data[i*ringDatagramLen:], entries)
	}
	r.last = seq
	r.n = min(r.n+1, ringDatagrams)
}

// get returns a datagram and when it was sent.
func (r *ring) get(seq syncwire.Seq) ([]byte, time.Time, bool) {
	if uint32(r.last-seq) >= uint32(r.n) {
		return nil, time.Time{}, false
	}
	i := int(seq % ringDatagrams)
	s := r.slots[i]
	return r.data[i*ringDatagramLen : i*ringDatagramLen+s.len], s.sent, s.len > 0
}

// repeatedWithin notes that a datagram is repeated now, and tells whether it was
// within the time before: many receivers may have missed it.
func (r *ring) repeatedWithin(seq syncwire.Seq, d time.Duration, now time.Time) bool {
	s := &r.slots[seq%ringDatagrams]
	if !s.repeated.IsZero() && now.Sub(s.repeated) < d {
		return true
	}
	s.repeated = now
	return false
}

// newest tells, for every session that was sent from seq on, the last datagram
// that had it. It looks at each datagram once, until forgetNewest.
func (r *ring) newest(from syncwire.Seq, f session.Format) map[session.Key]syncwire.Seq {
	if r.index == nil {
		r.index, r.from, r.upTo = make(map[session.Key]syncwire.Seq), from, from-1
	}
	for r.from.After(from) {
		r.from--
		r.note(r.from, f, func(k session.Key) bool { _, newer := r.index[k]; return !newer })
	}
	for r.last.After(r.upTo) {
		r.upTo++
		r.note(r.upTo, f, func(session.Key) bool { return true })
	}
	return r.index
}

// note puts those sessions of a datagram into the index for which put is true.
func (r *ring) note(seq syncwire.Seq, f session.Format, put func(session.Key) bool) {
	entries, _, _ := r.get(seq)
	for ; len(entries) > 0; entries = entries[f.EntryLen():] {
		rec := f.Record(entries)
		if key := rec.Key(); put(key) {
			r.index[key] = seq
		}
	}
}

// forgetNewest gives newest's memory back.
func (r *ring) forgetNewest() { r.index = nil }

// free lets go of the memory. What was in it can't be repeated any more.
func (r *ring) free() { *r = ring{} }
