package worker

import (
	"time"

	"joolctl/joolnl"
	"joolctl/replication"
)

// inheritWithin is how soon a worker that goes on as the incarnation before must have been repeated what it missed.
const inheritWithin = 2 * time.Second

// bequeath leaves the vector to the next worker of the pair. To be called on the thread, when nothing reads any more.
func (p *pumps) bequeath(now time.Time) {
	r := &p.resync
	if p.module == nil || p.socket == nil || !p.sequence || r.in != nil && r.in.began || r.backlog.Len() > 0 || p.dropping(now) {
		return // what the table holds is not what the vector says
	}
	for _, known := range p.peers.All() {
		if known.ID == 0 && now.Sub(known.LastHeard) <= replication.AbsentAfter {
			return // nobody repeats what an upstream joold sends meanwhile
		}
	}
	p.borrow(func() {
		p.do.drain()
		p.refreshAll(now)
	})
	overruns, errs := p.w.counters.netlinkOverruns.Load(), p.w.counters.kernelErrors.Load()
	p.module.ReadErrors() // of what was given to the module last
	stats, err := p.module.AskStats()
	if err != nil || !stats.Has(joolnl.StatPacketsRcvd) {
		return
	}
	if recreated(&p.kernel, &stats) || stats.Get(joolnl.StatSessionsDropped) != p.kernel.Get(joolnl.StatSessionsDropped) {
		return // the position does not count these sessions yet
	}
	p.borrow(p.do.drain) // these are in the counters
	if overruns != p.w.counters.netlinkOverruns.Load() || errs != p.w.counters.kernelErrors.Load() {
		return
	}
	e := estateOf(&stats)
	e.Checkpoint = p.knowledge.Checkpoint(now)
	p.w.counters.will.write(p.estate, e)
}

func estateOf(stats *joolnl.Stats) estate {
	return estate{
		packets: stats.Get(joolnl.StatPacketsRcvd), sessions: stats.Get(joolnl.StatSessionsRcvd),
		reported: stats.Get(joolnl.StatSessionsSent), dropped: stats.Get(joolnl.StatSessionsDropped),
	}
}

// begin begins an incarnation: that of the worker before if the module has neither been given anything since nor reported
// what was not heard, else a new one. To be called when the module's counters have been read.
func (p *pumps) begin(now time.Time) {
	e := p.w.counters.will.read(p.estate)
	if e == nil || !p.unchanged(e) {
		p.incarnate()
		return
	}
	p.knowledge.Continue(&e.Checkpoint, now)
	if p.adopted {
		p.waiting.suspect(now.Sub(e.Written)) // the reports that wait in the socket
	}
	p.inherited = true
}

// unchanged reports whether the module's counters are those of an estate.
func (p *pumps) unchanged(e *estate) bool {
	if !p.counted || !p.kernel.Has(joolnl.StatPacketsRcvd) || e.reported+e.sessions == 0 {
		return false
	}
	now := estateOf(&p.kernel)
	// What the adopted socket holds was reported after the worker before had read the counters.
	reported := now.reported == e.reported || p.adopted && now.reported > e.reported
	return now.packets == e.packets && now.sessions == e.sessions && now.dropped == e.dropped && reported
}

// incarnate begins a new incarnation: nothing is known of what the table contains.
func (p *pumps) incarnate() {
	p.retransmit.Free()
	p.knowledge.Incarnate(newID(p.random), p.counted && p.sessions() == 0, p.do.now())
	p.reasons, p.inherited = nil, false
}

// settle ends the start without a resync, because no peer has more than this host.
func (r *resync) settle(now time.Time) {
	if live := r.p.peers.Live(now); r.p.inherited && len(live) > 0 {
		r.p.w.reportResync(ResyncReport{From: live[0].Address.String(), Why: replication.CauseInherited, Had: r.p.sessions(), At: now, Took: now.Sub(r.since)})
	}
	r.verified = now
	r.finish(now)
}
