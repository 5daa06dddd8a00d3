package replication

import (
	"time"

	"joolctl/session"
)

// Queue keeps a live datagram, which may be a retransmission, until the full sync under way is stored. It returns false if the
// update is to go to the module at once. Once the backlog is full, all updates do, and the full sync does not touch their
// sessions.
func (r *Receiver) Queue(entries []byte, retransmitted bool) bool {
	if r.phase < PhaseCollecting || r.phase == PhaseChecking {
		return false
	}
	if !r.full {
		if r.backlog.Add(entries, retransmitted, r.host.Now()) {
			return true
		}
		r.full = true
		r.backlog.ReportAll(&r.reported)
		r.release()
	}
	r.reported.AddList(entries)
	return false
}

// Queued returns how many sessions wait for the full sync under way.
func (r *Receiver) Queued() uint64 { return r.backlog.Sessions() }

// Recording reports whether Report has to be called for each session that the module reports.
func (r *Receiver) Recording() bool { return r.reported.Recording() }

// Report takes a session that the module has reported. The report may have waited for lag. The full sync under way does not
// overwrite the session, nor do the older ones of the updates that wait for it.
func (r *Receiver) Report(rec *session.Record, lag time.Duration, now time.Time) {
	r.reported.Add(rec)
	r.backlog.Reported(rec, lag, now)
}

// release delivers the updates that wait.
func (r *Receiver) release() {
	now := r.host.Now()
	risen := r.knowledge.Stored()
	unreported := r.backlog.Release(r.base, now, r.host.Settings(), func(entries []byte, retransmitted bool) {
		r.host.Deliver(entries, retransmitted, now)
	}, func(entry []byte) { r.host.Ignore(ignoredOutdated, entry) })
	r.host.FlushStored()
	if unreported > 0 {
		r.knowledge.Gain() // peers have received the older report, and a full sync shows them the newer record
	}
	if risen || unreported > 0 {
		r.host.HelloSoon(now)
	}
}
