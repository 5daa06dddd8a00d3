package worker

import (
	"fmt"
	"time"

	"joolctl/replication"
	"joolctl/session"
)

// audit compares counters, and has what only it counts. It belongs to the instance's thread.
type audit struct {
	replication.Audit
	// given counts the messages, and the bytes of sessions, that the module was given since the worker's start.
	given struct{ packets, bytes uint64 }
	// dropped is when the module was last seen to have dropped sessions, dropsSince when these drops began, and drops how many
	// sessions it has dropped since then.
	dropped, dropsSince time.Time
	drops               uint64
}

// DropsCount is how long a host is not ready after its module has dropped sessions.
const DropsCount = time.Minute

// tally returns the worker's counters.
func (p *pumps) tally() replication.Tally {
	l, c := p.w.counters.Ledger(), p.w.counters
	return replication.Tally{
		Reported: l.Reported, Coalesced: l.Coalesced, Refreshed: l.Refreshed, Sent: l.Sent, Unsent: l.Unsent,
		Received: l.Received, Injected: l.Injected, Ignored: l.Ignored, Untranslated: c.untranslated.Load(), Given: l.Given,
		Pending: p.host.Pending(), GivenPackets: p.audit.given.packets, GivenBytes: p.audit.given.bytes, Overruns: c.netlinkOverruns.Load(),
	}
}

// auditKernel takes the module's counters, and how many sessions the module has dropped since they were read before.
func (p *pumps) auditKernel(counters replication.ModuleCounters, dropped uint64, now time.Time) {
	a, remedy := &p.audit, ""
	if dropped > 0 {
		if now.Sub(a.dropped) > DropsCount {
			a.dropsSince, a.drops = now, 0
		}
		a.drops += dropped
		a.dropped, remedy = now, p.roomCommand()
		p.w.counters.kernelDropped.Add(dropped)
	}
	broken, lost := a.Check(counters, p.tally(), p.format.EntryLen(), now)
	p.w.counters.netlinkLost.Add(lost)
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if len(broken) == 0 {
		p.w.state.BrokenSince = time.Time{}
	} else if len(p.w.state.Broken) == 0 {
		p.w.state.BrokenSince = now
	}
	p.w.state.Broken, p.w.state.Sessions = broken, counters.Sessions
	if remedy != "" {
		p.w.state.DropRemedy = remedy
	}
	p.w.state.Answered, p.w.state.KernelDropped, p.w.state.DropsSince, p.w.state.Drops = now, a.dropped, a.dropsSince, a.drops
}

// sessionsIn returns how many sessions a list has that has passed session.CheckList.
func sessionsIn(entries []byte) uint64 {
	return uint64(len(entries) / session.ListFormat(entries).EntryLen())
}

// roomCommand is the command that doubles the module's queue, or makes it as long as "tune ss" does.
func (p *pumps) roomCommand() string {
	spec := p.w.spec()
	return inside(spec.Namespace, fmt.Sprintf("jool -i %s global update ss-capacity %d", spec.Instance, replication.MoreCapacity(p.host.Settings().SSCapacity)))
}
