package replication

import (
	"time"

	"joolctl/session"
)

const (
	// ReportLag is how long the module may keep a session before it reports it: twice its default ss-flush-deadline.
	ReportLag = 4 * time.Second
	// MaxLookups bounds how many sessions are looked up in the module in a RetransmitWindow, because live traffic waits meanwhile.
	MaxLookups = 256
)

// lookups bounds how many sessions of retransmissions are looked up in the module.
type lookups struct {
	window time.Time
	n      int // in this window
}

// allow reports whether another session may be looked up now.
func (l *lookups) allow(now time.Time) bool {
	if now.Sub(l.window) > RetransmitWindow {
		l.window, l.n = now, 0
	}
	l.n++
	return l.n <= MaxLookups
}

// deliverRetransmissions has a stream's retransmissions delivered as such, without the sessions that were in later datagrams.
func (h *Host) deliverRetransmissions(s *Stream) {
	if s.Retransmitted == nil {
		s.Retransmitted = func(entries []byte) {
			if entries = h.withoutSuperseded(s, entries); len(entries) > 0 {
				h.deliverRetransmitted(entries)
			}
		}
	}
}

// withoutSuperseded removes those of a retransmission's sessions that a later datagram has brought, and moves the others to the
// front.
func (h *Host) withoutSuperseded(s *Stream, entries []byte) []byte {
	f := session.ListFormat(entries)
	size := f.EntryLen()
	kept := entries[:0]
	for b := entries; len(b) > 0; b = b[size:] {
		if r := f.Record(b); s.Superseded(r.Key()) {
			h.ignore(ignoredSuperseded, b[:size])
			continue
		}
		kept = append(kept, b[:size]...)
	}
	return kept
}

// deliverRetransmitted delivers a retransmission's sessions that are not older than the own module's. JOOLD_ADD would overwrite these,
// and after a failover the module reports the same sessions as the peer did before.
func (h *Host) deliverRetransmitted(entries []byte) {
	if h.Receiver.Queue(entries, true) {
		return
	}
	if entries = h.withoutOlder(entries, true, h.do.Now()); len(entries) > 0 {
		h.deliver(entries)
	}
}

// withoutOlder removes those of a retransmission's sessions that are older than the own module's, and moves the others to the
// front. A session is looked up in the module only if the module may have reported something since the session's last packet.
// drop removes the sessions that may not be looked up now, too, if full syncs bring them.
func (h *Host) withoutOlder(entries []byte, drop bool, now time.Time) []byte {
	f := session.ListFormat(entries)
	size := f.EntryLen()
	kept, asked, doubtful := entries[:0], false, false
	for b := entries; len(b) > 0; b = b[size:] {
		r := f.Record(b)
		quiet := time.Duration(max(Idle(&r, h.settings), 0)) * time.Millisecond
		silent := h.reported.IsZero() || now.Sub(h.reported) > quiet+ReportLag
		allowed := !silent && h.lookups.allow(now)
		if allowed && !asked {
			asked = true
			h.do.FlushStored() // the module must have what arrived before this retransmission
		}
		switch {
		case allowed && h.older(&r):
			h.ignore(ignoredOlder, b[:size])
		case !allowed && !silent && drop && h.Sequence:
			doubtful = true
			h.ignore(ignoredUnknown, b[:size])
		default:
			kept = append(kept, b[:size]...)
		}
	}
	if doubtful {
		h.Receiver.Doubt(now)
	}
	return kept
}

// older reports whether a retransmission's session is older than the module's own record of it, or as old.
func (h *Host) older(r *session.Record) bool {
	own, there, err := h.do.Lookup(r)
	if err != nil {
		h.do.Emit(LookupFailed{err})
		return false
	}
	return there && h.isNewest(&own, r, SameMoment)
}

// Keeps reports whether the module's record of a session is not older than that of a full sync. The times left of both are those of one
// moment.
func (h *Host) Keeps(own, theirs *session.Record) bool {
	return h.isNewest(own, theirs, max(h.Receiver.Tolerance, MinTolerance))
}

func (h *Host) isNewest(own, other *session.Record, tolerance time.Duration) bool {
	behind := Idle(own, h.settings) - max(Idle(other, h.settings), 0)
	return Winner(other, own, behind, tolerance.Milliseconds()) <= 0
}
