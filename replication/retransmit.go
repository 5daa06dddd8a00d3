package replication

import (
	"time"

	"joolctl/session"
	"joolctl/syncwire"
)

const (
	// RetransmitDatagrams (a power of two) live datagrams are kept for retransmission, each with room for retransmitBytes bytes
	// of sessions, 1.5 MB together, or for more once there is a longer one.
	RetransmitDatagrams = 1 << 10
	retransmitBytes     = 1456
	// retransmitStep is by how many bytes the room rises at least.
	retransmitStep = 1 << 10
)

// RetransmitBuffer keeps the live datagrams that were sent last, as lists of sessions in the module's format, without
// trailers. The zero value is empty, and has no memory.
type RetransmitBuffer struct {
	slots []retransmitSlot // of sequence number n in slot n modulo RetransmitDatagrams
	data  []byte
	room  int          // bytes of data for each slot
	last  syncwire.Seq // the newest
	n     int          // how many there are
	// newest has, for each session that was sent in the datagrams from from to upTo, the last of these that contains it.
	newest     map[session.Key]syncwire.Seq
	from, upTo syncwire.Seq
}

type retransmitSlot struct {
	len           int
	sent          time.Time
	retransmitted time.Time // last
}

// Put keeps a datagram's sessions. It copies entries.
func (b *RetransmitBuffer) Put(seq syncwire.Seq, entries []byte, now time.Time) {
	if b.slots == nil {
		b.slots = make([]retransmitSlot, RetransmitDatagrams)
		b.room = retransmitBytes
		b.data = make([]byte, RetransmitDatagrams*b.room)
	}
	if len(entries) > b.room {
		b.enlarge(max(len(entries), b.room+retransmitStep))
	}
	i := int(seq % RetransmitDatagrams)
	b.slots[i] = retransmitSlot{sent: now, len: copy(b.data[i*b.room:], entries)}
	b.last = seq
	b.n = min(b.n+1, RetransmitDatagrams)
}

// enlarge gives each slot more room.
func (b *RetransmitBuffer) enlarge(room int) {
	data := make([]byte, RetransmitDatagrams*room)
	for i := range b.slots {
		copy(data[i*room:], b.data[i*b.room:][:b.slots[i].len])
	}
	b.data, b.room = data, room
}

// Has reports whether the buffer still has a datagram.
func (b *RetransmitBuffer) Has(seq syncwire.Seq) bool {
	_, _, ok := b.get(seq)
	return ok
}

// get returns a datagram's sessions and when it was sent.
func (b *RetransmitBuffer) get(seq syncwire.Seq) ([]byte, time.Time, bool) {
	if uint32(b.last-seq) >= uint32(b.n) {
		return nil, time.Time{}, false
	}
	i := int(seq % RetransmitDatagrams)
	s := b.slots[i]
	return b.data[i*b.room : i*b.room+s.len], s.sent, true
}

// RetransmittedWithin notes that a datagram, which the buffer must have, is retransmitted now. It returns true, and notes
// nothing, if that was so within the time d before: many receivers may miss the same datagram.
func (b *RetransmitBuffer) RetransmittedWithin(seq syncwire.Seq, d time.Duration, now time.Time) bool {
	s := &b.slots[seq%RetransmitDatagrams]
	if !s.retransmitted.IsZero() && now.Sub(s.retransmitted) < d {
		return true
	}
	s.retransmitted = now
	return false
}

// Append appends a datagram's sessions in format f as a retransmission has them: without those that a later datagram has
// too, and with the times left that they have now. It appends nothing if later datagrams have all of them.
//
// Append indexes the sessions of the datagrams from seq on, each datagram once; ForgetIndex frees the index.
func (b *RetransmitBuffer) Append(dst []byte, seq syncwire.Seq, f session.Format, now time.Time) []byte {
	entries, sent, _ := b.get(seq)
	b.index(seq, f)
	for ; len(entries) > 0; entries = entries[f.EntryLen():] {
		rec := f.Record(entries)
		if last, ok := b.newest[rec.Key()]; ok && last.After(seq) {
			continue
		}
		dst = append(dst, entries[:f.EntryLen()]...)
		left := rec.Expires()
		f.SetExpires(dst[len(dst)-f.EntryLen():], left-min(left, uint32(now.Sub(sent).Milliseconds())))
	}
	return dst
}

// index extends newest to the datagrams from from on.
func (b *RetransmitBuffer) index(from syncwire.Seq, f session.Format) {
	if b.newest == nil {
		b.newest, b.from, b.upTo = make(map[session.Key]syncwire.Seq), from, from-1
	}
	for b.from.After(from) {
		b.from--
		b.indexOne(b.from, f, func(k session.Key) bool { _, newer := b.newest[k]; return !newer })
	}
	for b.last.After(b.upTo) {
		b.upTo++
		b.indexOne(b.upTo, f, func(session.Key) bool { return true })
	}
}

// indexOne puts those sessions of a datagram into newest for which put returns true.
func (b *RetransmitBuffer) indexOne(seq syncwire.Seq, f session.Format, put func(session.Key) bool) {
	entries, _, _ := b.get(seq)
	for ; len(entries) > 0; entries = entries[f.EntryLen():] {
		rec := f.Record(entries)
		if key := rec.Key(); put(key) {
			b.newest[key] = seq
		}
	}
}

// Remove drops the sessions of BIB entries that were removed from all datagrams: a retransmission would bring them back.
func (b *RetransmitBuffer) Remove(removed map[Mask]struct{}, f session.Format) {
	size := f.EntryLen()
	for i := range b.slots {
		entries := b.data[i*b.room:][:b.slots[i].len]
		left := entries[:0]
		for ; len(entries) > 0; entries = entries[size:] {
			rec := f.Record(entries)
			if _, is := removed[maskOf(&rec)]; !is {
				left = append(left, entries[:size]...)
			}
		}
		b.slots[i].len = len(left)
	}
}

// Indexed reports whether there is an index to forget.
func (b *RetransmitBuffer) Indexed() bool { return b.newest != nil }

// ForgetIndex frees the index of Append.
func (b *RetransmitBuffer) ForgetIndex() { b.newest = nil }

// Free forgets all datagrams, and frees the memory.
func (b *RetransmitBuffer) Free() { *b = RetransmitBuffer{} }
