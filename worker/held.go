package worker

// hold keeps a live update, which may be a retransmission, until the full sync that is under way is stored. It returns false
// if the update is to go to the module at once. Once the backlog is full, all updates do, and the full sync does not touch
// their sessions.
func (r *resync) hold(entries []byte, retransmitted bool) bool {
	if r.phase < collecting || r.phase == checking {
		return false
	}
	if !r.full {
		if r.backlog.Add(entries, retransmitted, r.p.do.now()) {
			return true
		}
		r.full = true
		r.backlog.ReportAll(&r.reported)
		r.p.releaseHeld()
	}
	r.reported.AddList(entries)
	return false
}

// releaseHeld sends the updates that wait on their way to the module.
func (p *pumps) releaseHeld() {
	r, now := &p.resync, p.do.now()
	risen := p.knowledge.Stored()
	outdated := r.backlog.Release(r.base, now, &p.settings, func(entries []byte, retransmitted bool) {
		if retransmitted {
			entries = p.withoutOlder(entries, now)
		}
		if len(entries) > 0 {
			p.store(entries)
		}
	})
	p.w.counters.ignored.Add(outdated)
	p.toKernel()
	if risen {
		p.helloSoon(now)
	}
}
