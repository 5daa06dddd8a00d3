package worker

import (
	"time"

	"joolctl/replication"
)

// leaveCheckpoint stores a checkpoint for the next worker of the pair. It must be called on the instance's thread, after the last read from
// the sockets. If the vector is not certain to describe the table, the checkpoint has the time only, and the next worker begins a new
// incarnation; but it knows how long the reports have waited in a socket that it adopts.
func (p *pumps) leaveCheckpoint(now time.Time) {
	if p.module == nil || p.socket == nil {
		return
	}
	left, certain := p.checkpoint(now)
	if !certain {
		left = replication.Checkpoint{Written: now}
	}
	p.w.counters.checkpoints.write(p.instance, left)
}

// checkpoint returns a checkpoint from which the next worker can continue the incarnation, or false if there is none.
func (p *pumps) checkpoint(now time.Time) (replication.Checkpoint, bool) {
	if !p.host.MayCheckpoint(now) {
		return replication.Checkpoint{}, false
	}
	p.borrow(func() {
		p.do.drain()
		p.host.Drain(now)
	})
	overruns, errs := p.w.counters.netlinkOverruns.Load(), p.w.counters.kernelErrors.Load()
	p.module.ReadErrors() // errors for the last JOOLD_ADDs
	stats, err := p.module.AskStats()
	if err != nil {
		return replication.Checkpoint{}, false
	}
	counters := countersOf(&stats)
	if !p.host.Counts(&counters) {
		return replication.Checkpoint{}, false
	}
	p.borrow(p.do.drain) // the counters include these reports
	if overruns != p.w.counters.netlinkOverruns.Load() || errs != p.w.counters.kernelErrors.Load() {
		return replication.Checkpoint{}, false
	}
	return p.host.Checkpoint(counters, now), true
}

// begin starts a new incarnation, or continues that of the previous worker if its checkpoint is still valid. The module's counters
// must have been read. The checkpoint is deleted even if this worker does not need it: the next worker must not find it.
func (p *pumps) begin(now time.Time) {
	left := p.w.counters.checkpoints.read(p.instance)
	if p.host.Sequence {
		p.host.Begin(left, p.adopted, now)
	}
}
