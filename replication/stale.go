package replication

import (
	"time"

	"joolctl/session"
	"joolctl/syncwire"
)

// withoutStale removes reports of sessions as they were before the incarnation began, until the host's table is complete for the
// first time: not every packet renews its session, so that the module of a host that was down reports a session as it was then,
// while peers hold it in a newer state, which the report would overwrite. Nothing is lost: the table had these sessions when the
// incarnation began, so its first generation has them, and peers request that as a full sync, which compares. A FIN does not renew
// its session either, but changes the state, so its report stays. It may change entries.
func (h *Host) withoutStale(entries []byte, now time.Time) []byte {
	if !h.Sequence || h.Receiver.Sync() != syncwire.SyncNo {
		h.began = time.Time{}
		return entries
	}
	if len(h.Peers.Live(now)) == 0 {
		return entries // no peer can request a full sync: upstream's joolds, and peers without sequence numbers, get all reports
	}
	before := now.Sub(h.began).Milliseconds()
	kept, size := 0, h.Format.EntryLen()
	var copied session.Record
	for at := 0; at < len(entries); at += size {
		r := h.Format.RecordIn(entries[at:], &copied)
		if !afterFIN(r) && Idle(r, h.settings) > before {
			h.do.Count(CountCoalesced, 1)
			continue
		}
		copy(entries[kept:], entries[at:at+size])
		kept += size
	}
	return entries[:kept]
}

// afterFIN reports whether a FIN has led to a session's state.
func afterFIN(r *session.Record) bool {
	switch r.State() {
	case session.V4FinRcv, session.V6FinRcv, session.V4FinV6FinRcv:
		return r.Proto() == session.TCP
	}
	return false
}
