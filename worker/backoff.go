package worker

import (
	"time"

	"joolctl/replication"
)

// pausesOf returns the pauses of the reasons that concern a peer, or of the others if about is nil.
func (r *resync) pausesOf(about *replication.Peer) replication.Pauses {
	of := &r.pauses
	if about != nil {
		of = &about.Pauses
	}
	if *of == nil {
		*of = make(replication.Pauses)
	}
	return *of
}

// want requests a resync once the pause for its reason is over. about is the peer that the reason concerns; nil: none. If
// a resync is wanted already, the reason whose pause ends first stays. want reports whether the reason has changed.
func (r *resync) want(why string, about *replication.Peer, now time.Time) bool {
	return r.wantAfter(why, about, time.Time{}, now)
}

// suspect is want for a difference that may be no loss. It costs little beside what the last resync cost.
func (r *resync) suspect(why string, about *replication.Peer, now time.Time) bool {
	return r.wantAfter(why, about, r.ended.Add(replication.CostFactor*r.cost), now)
}

// wantAfter is want, not before earliest.
func (r *resync) wantAfter(why string, about *replication.Peer, earliest, now time.Time) bool {
	if r.phase != settled || r.why == why && r.about == about {
		return false
	}
	last := r.pausesOf(about)[why]
	pause := last.Next(now)
	due := replication.Latest(now, earliest)
	if !r.ended.IsZero() && why != whyVerify {
		due = replication.Latest(due, replication.Latest(r.ended.Add(replication.FirstPause), last.Ended.Add(pause)))
	}
	if r.why != "" && !due.Before(r.due) {
		return false
	}
	r.why, r.about, r.due, r.pause = why, about, due, pause
	return true
}

// paused notes that a resync has ended, and whether its reason counts as a lasting difference.
func (r *resync) paused(lasting bool, now time.Time) {
	if r.pause > 0 {
		r.pausesOf(r.about)[r.why] = replication.Backoff{Ended: now, Pause: r.pause, Lasting: lasting}
	}
}

// unwant drops a reason that concerns a peer, because the difference is gone.
func (r *resync) unwant(why string, about *replication.Peer) {
	delete(about.Pauses, why)
	if r.phase == settled && r.why == why && r.about == about {
		r.why, r.about, r.pause = "", nil, 0
	}
}
