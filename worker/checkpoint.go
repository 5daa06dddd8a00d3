package worker

import "time"

// leaveCheckpoint stores a checkpoint for the next worker of the pair, if the vector is certain to describe the table. It must be
// called on the instance's thread, after the last read from the sockets.
func (p *pumps) leaveCheckpoint(now time.Time) {
	if p.module == nil || p.socket == nil || !p.host.MayCheckpoint(now) {
		return
	}
	p.borrow(func() {
		p.do.drain()
		p.host.Drain(now)
	})
	overruns, errs := p.w.counters.netlinkOverruns.Load(), p.w.counters.kernelErrors.Load()
	p.module.ReadErrors() // errors for the last JOOLD_ADDs
	stats, err := p.module.AskStats()
	if err != nil {
		return
	}
	counters := countersOf(&stats)
	if !p.host.Counts(&counters) {
		return
	}
	p.borrow(p.do.drain) // the counters include these reports
	if overruns != p.w.counters.netlinkOverruns.Load() || errs != p.w.counters.kernelErrors.Load() {
		return
	}
	p.w.counters.checkpoints.write(p.instance, p.host.Checkpoint(counters, now))
}

// begin starts a new incarnation, or continues that of the previous worker if its checkpoint is still valid. The module's counters
// must have been read. The checkpoint is deleted even if this worker does not need it: the next worker must not find it.
func (p *pumps) begin(now time.Time) {
	left := p.w.counters.checkpoints.read(p.instance)
	if p.host.Sequence {
		p.host.Begin(left, p.adopted, now)
	}
}
