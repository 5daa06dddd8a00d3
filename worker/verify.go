package worker

import (
	"time"

	"joolctl/replication"
	"joolctl/syncwire"
)

// verify asks for the whole table every now and then, while sessions flow, and
// returns when to come again. One of two peers is enough: the other gets back what it lacks.
func (r *resync) verify(now time.Time) time.Time {
	period := r.period
	if period <= 0 || r.sync != syncwire.SyncYes || r.phase != settled || r.Cause != "" {
		return time.Time{}
	}
	r.verified = replication.Latest(r.verified, r.p.sender.Served()) // the receiver compares, and returns what is missing here
	// Not all workers, nor all hosts, at once.
	due := r.p.together(r.verified.Add(period+period/4*time.Duration(r.p.knowledge.Self()%256)/256), idleBeat)
	if now.Before(due) {
		return due
	}
	if r.p.active.Before(r.verified) || len(r.p.peers.Live(now)) == 0 {
		r.verified = now // nothing has changed since, or nobody is there to ask
		return time.Time{}
	}
	r.Suspect(replication.CauseVerification, nil, now)
	return r.Due()
}
