package replication

import (
	"time"

	"joolctl/session"
	"joolctl/syncwire"
)

// Reported sends sessions that the module has reported, whole entries of Config.Format: new and changed ones at once, refreshes
// at the end of their period. It may change entries, and write behind them.
func (h *Host) Reported(entries []byte, now time.Time) {
	h.reported = now
	h.Stalls.Reported(h.Format, entries)
	if !h.began.IsZero() {
		if entries = h.withoutStale(entries, now); len(entries) == 0 {
			return
		}
	}
	recording := h.Receiver.Recording() || h.advertise.reported.Recording()
	if h.Coalescer.Period() <= 0 && !recording {
		h.sendInPieces(entries, now)
		return
	}
	h.Coalescer.Begin(now)
	var copied session.Record
	var atOnce bool
	var evicted *session.Record
	at, size := 0, h.Format.EntryLen()
	// As long as all sessions are new, nothing is copied. This loop is most of the worker's own time while sessions are opened.
	for ; at < len(entries); at += size {
		r := h.Format.RecordIn(entries[at:], &copied)
		if recording {
			h.record(r, now)
		}
		if atOnce, evicted = h.Coalescer.Report(r); !atOnce || evicted != nil {
			break
		}
	}
	if at == len(entries) {
		h.sendInPieces(entries, now)
	} else {
		h.sendSome(entries, at, atOnce, evicted, recording, now)
	}
	h.do.Wake(h.Coalescer.Next())
}

// record notes that a session was reported during a full sync.
func (h *Host) record(r *session.Record, now time.Time) {
	h.Receiver.Report(r, ReportLag+h.Stalls.longest, now)
	h.advertise.reported.Add(r)
}

// sendSome sends those of the entries that must be sent at once: all before at, that at at if atOnce is true, and further ones;
// and the refreshes that gave up their slots.
func (h *Host) sendSome(entries []byte, at int, atOnce bool, evicted *session.Record, recording bool, now time.Time) {
	s := h.do.Scratch()
	coalesced, refreshed := uint64(0), uint64(0)
	var copied session.Record
	size := h.Format.EntryLen()
	out := append(s.Out[:0], entries[:at]...)
	for {
		if evicted != nil {
			refreshed++
			out = h.appendRecord(out, evicted)
		}
		if atOnce {
			out = append(out, entries[at:at+size]...)
		} else {
			coalesced++
		}
		if at += size; at == len(entries) {
			break
		}
		r := h.Format.RecordIn(entries[at:], &copied)
		if recording {
			h.record(r, now)
		}
		atOnce, evicted = h.Coalescer.Report(r)
	}
	s.Out = out
	h.do.Count(CountCoalesced, coalesced)
	h.do.Count(CountRefreshed, refreshed)
	h.sendInPieces(out, now)
}

// SendRefreshes sends the refreshes whose period is over, and returns when to call it again.
func (h *Host) SendRefreshes(now time.Time) (again time.Time) {
	s := h.do.Scratch()
	s.Out = s.Out[:0]
	again = h.Coalescer.Flush(now, h.refreshFn)
	h.sendInPieces(s.Out, now)
	return again
}

// Drain sends all refreshes, and forgets the sessions that were sent.
func (h *Host) Drain(now time.Time) {
	s := h.do.Scratch()
	s.Out = s.Out[:0]
	h.Coalescer.Drain(now, h.refreshFn)
	h.sendInPieces(s.Out, now)
}

// Dropped notes that reports of the module were lost: peers need a full sync.
func (h *Host) Dropped(now time.Time) {
	h.hasten(now)
	h.Receiver.ReportsLost(now)
}

// hasten sends the refreshes that wait before a full sync, because the module's later reports of their sessions may have been
// lost: behind that full sync, they would set the peers' sessions back.
func (h *Host) hasten(now time.Time) {
	s := h.do.Scratch()
	s.Out = s.Out[:0]
	h.Coalescer.Hasten(now, h.refreshFn)
	h.sendInPieces(s.Out, now)
}

func (h *Host) takeRefresh(r *session.Record) {
	h.do.Count(CountRefreshed, 1)
	s := h.do.Scratch()
	s.Out = h.appendRecord(s.Out, r)
}

// appendRecord appends a record in the module's format.
func (h *Host) appendRecord(b []byte, r *session.Record) []byte {
	b, err := h.Format.AppendRecord(b, r, h.settings.Pool6)
	if err != nil { // it was reported in this very format
		h.do.Emit(SessionUnfit{err})
	}
	return b
}

// sendInPieces sends any number of sessions, as many in a datagram as fit. It may write behind them.
func (h *Host) sendInPieces(entries []byte, now time.Time) {
	size := h.Limits.Sessions(h.Format) * h.Format.EntryLen()
	if len(entries) <= size {
		if len(entries) > 0 {
			h.sendLive(entries, now)
		}
		return
	}
	h.do.OpenBatch()
	for len(entries) > 0 {
		n := min(size, len(entries))
		h.sendLive(entries[:n], now)
		entries = entries[n:]
	}
	h.do.Flush()
}

// sendLive sends a live datagram. It may write behind entries, unless datagrams wait.
func (h *Host) sendLive(entries []byte, now time.Time) {
	h.active = now
	seq := h.Knowledge.Position().Seq
	if h.Sequence {
		seq = h.Knowledge.NextSeq()
		h.Retransmitter.Put(seq, entries, now)
		h.SentLog.Put(seq, h.Format.CountList(entries), now)
	}
	h.do.Transmit(entries, syncwire.Trailer{Kind: syncwire.Live, Sender: h.Knowledge.Self(), Seq: seq})
}
