package worker

import "time"

// leaveCheckpoint leaves the vector to the next worker of the pair. To be called on the thread, when nothing reads any more.
func (p *pumps) leaveCheckpoint(now time.Time) {
	if p.module == nil || p.socket == nil || !p.host.MayCheckpoint(now) {
		return
	}
	p.borrow(func() {
		p.do.drain()
		p.host.Drain(now)
	})
	overruns, errs := p.w.counters.netlinkOverruns.Load(), p.w.counters.kernelErrors.Load()
	p.module.ReadErrors() // of the sessions that the module was given last
	stats, err := p.module.AskStats()
	if err != nil {
		return
	}
	counters := countersOf(&stats)
	if !p.host.Counts(&counters) {
		return
	}
	p.borrow(p.do.drain) // these reports are in the counters
	if overruns != p.w.counters.netlinkOverruns.Load() || errs != p.w.counters.kernelErrors.Load() {
		return
	}
	p.w.counters.checkpoints.write(p.instance, p.host.Checkpoint(counters, now))
}

// begin begins an incarnation, or continues that of the worker before. To be called when the module's counters have been read.
func (p *pumps) begin(now time.Time) {
	p.host.Begin(p.w.counters.checkpoints.read(p.instance), p.adopted, now)
}
