package worker

import "time"

const (
	// firstPause and longestPause bound the pause between two resyncs for one reason, unless that is a start: a lasting
	// difference must cost little.
	firstPause   = time.Second
	longestPause = 5 * time.Minute
	// lastingFor is how long after a resync that has stored nothing its reason counts as the same difference. To notice
	// a shortfall takes 21 HELLOs, which an idle peer sends in 3.5 minutes.
	lastingFor = 6 * time.Minute
)

// pauses are the pauses after resyncs, by their reasons. Those that concern a peer are the peer's.
type pauses map[string]pause

// pause is the one after a resync for a reason.
type pause struct {
	ended   time.Time // the resync
	before  time.Duration
	lasting bool // the resync has stored nothing
}

// next is how long a resync for the same reason has to wait after the last one. It is twice as long as before if the
// reason comes back soon.
func (p pause) next(now time.Time) time.Duration {
	soon := 2 * p.before
	if p.lasting {
		soon = max(soon, lastingFor)
	}
	if p.ended.IsZero() || now.Sub(p.ended) > soon {
		return firstPause
	}
	return min(max(2*p.before, firstPause), longestPause)
}

// pausesOf returns the pauses of the reasons that concern a peer, or of the others if about is nil.
func (r *resync) pausesOf(about *peer) pauses {
	of := &r.pauses
	if about != nil {
		of = &about.pauses
	}
	if *of == nil {
		*of = make(pauses)
	}
	return *of
}

// want requests a resync once the pause for its reason is over. about is the peer that the reason concerns; nil: none. If
// a resync is wanted already, the reason whose pause ends first stays. want reports whether the reason has changed.
func (r *resync) want(why string, about *peer, now time.Time) bool {
	return r.wantAfter(why, about, time.Time{}, now)
}

// suspect is want for a difference that may be no loss. It costs little beside what the last resync cost.
func (r *resync) suspect(why string, about *peer, now time.Time) bool {
	return r.wantAfter(why, about, r.ended.Add(costFactor*r.cost), now)
}

// wantAfter is want, not before earliest.
func (r *resync) wantAfter(why string, about *peer, earliest, now time.Time) bool {
	if r.phase != settled || r.why == why && r.about == about {
		return false
	}
	last := r.pausesOf(about)[why]
	pause := last.next(now)
	due := maxTime(now, earliest)
	if !r.ended.IsZero() && why != whyVerify {
		due = maxTime(due, maxTime(r.ended.Add(firstPause), last.ended.Add(pause)))
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
		r.pausesOf(r.about)[r.why] = pause{ended: now, before: r.pause, lasting: lasting}
	}
}

// unwant drops a reason that concerns a peer, because the difference is gone.
func (r *resync) unwant(why string, about *peer) {
	delete(about.pauses, why)
	if r.phase == settled && r.why == why && r.about == about {
		r.why, r.about, r.pause = "", nil, 0
	}
}
