package worker

import (
	"fmt"
	"time"

	"joolctl/joolnl"
	"joolctl/replication"
	"joolctl/session"
)

// audit compares what the module counts with what we do, and keeps what tells
// whether the table can be relied on. It belongs to the instance's thread.
type audit struct {
	// given is what the module has been given since the worker's start.
	given struct{ packets, bytes uint64 }
	base  *books // at the worker's start, or the instance's

	packets, bytes, reports, out, in balance
	inBase                           *uint64 // what came of the worker before and had no end yet
	checked                          time.Time
	broken                           []string
	// reportsBase is the least of what the module has reported beyond what we
	// have read: it began before we could count.
	reportsBase int64
	overruns    uint64 // when base was taken
	netlinkLost uint64 // since then

	answered time.Time // when the module last did
	dropped  time.Time // when it was last seen to have dropped sessions
}

// books are both sides' counters at one moment.
type books struct {
	packets, sessions, reported               uint64 // the module's
	givenPackets, givenBytes, reportedSession uint64 // ours
}

// auditEvery is the least time between two checks: enough for what is on its way
// to arrive.
const auditEvery = time.Second

// balance watches two counters that should be equal. What is on its way makes
// them differ, so only a difference that outlasts two checks without traffic,
// or has grown at three in a row, is one.
type balance struct {
	diff  int64
	total uint64 // of both counters
	still int    // checks at which neither has moved and they differed
	grown int    // checks in a row at which the difference had grown
}

// check takes the counters and returns the difference where it is real, else 0.
func (b *balance) check(theirs, ours uint64) int64 {
	diff, total := int64(theirs-ours), theirs+ours
	switch {
	case diff == 0:
		b.still, b.grown = 0, 0
	case diff == b.diff && total == b.total:
		b.still++
	case diff > 0 && diff > b.diff, diff < 0 && diff < b.diff:
		b.still = 0
		b.grown++
	case diff == b.diff: // it moves, but no further apart
	default:
		b.still, b.grown = 0, 0
	}
	b.diff, b.total = diff, total
	if b.still >= 2 || b.grown >= 3 {
		return diff
	}
	return 0
}

// sinceBase is a counter's rise. A fall (an error report that took back what was
// counted) is 0.
func sinceBase(now, base uint64) uint64 { return now - min(now, base) }

// check compares counters that should be equal and names those that are not.
// Modules without the counters have nothing to compare.
func (a *audit) check(stats *joolnl.Stats, c *Counters, entryLen int) (broken []string) {
	l := c.Ledger()
	if d := a.out.check(l.Reported+l.Refreshed, l.Coalesced+l.Sent+l.Unsent); d != 0 {
		broken = append(broken, fmt.Sprintf("reported - coalesced + refreshed - sent - unsent is %d sessions, not 0; please report this", d))
	}
	if !stats.Has(joolnl.StatPacketsRcvd) {
		return broken
	}
	now := books{
		packets: stats.Get(joolnl.StatPacketsRcvd), sessions: stats.Get(joolnl.StatSessionsRcvd), reported: stats.Get(joolnl.StatSessionsSent),
		givenPackets: a.given.packets, givenBytes: a.given.bytes, reportedSession: c.reported.Load(),
	}
	if b := a.base; b == nil || now.packets < b.packets || now.sessions < b.sessions || now.reported < b.reported {
		// A new worker, or a new instance.
		a.base, a.packets, a.bytes, a.reports, a.reportsBase = &now, balance{}, balance{}, balance{}, 0
		a.overruns, a.netlinkLost = c.netlinkOverruns.Load(), 0
		return broken
	}
	b := a.base
	if d := a.packets.check(now.packets-b.packets, sinceBase(now.givenPackets, b.givenPackets)); d != 0 {
		broken = append(broken, differ("KERNEL_SENT_PKTS", joolnl.StatPacketsRcvd, d, "packets"))
	}
	theirs := (now.sessions - b.sessions) * uint64(entryLen)
	if d := a.bytes.check(theirs, sinceBase(now.givenBytes, b.givenBytes)); d != 0 {
		broken = append(broken, differ("KERNEL_SENT_BYTES", joolnl.StatSessionsRcvd, d, "bytes"))
	}
	diff := int64(now.reported-b.reported) - int64(now.reportedSession-b.reportedSession)
	a.reportsBase = min(a.reportsBase, diff)
	if d := a.reports.check(uint64(diff-a.reportsBase), 0); d != 0 {
		if c.netlinkOverruns.Load() == a.overruns {
			broken = append(broken, differ("reported", joolnl.StatSessionsSent, d, "sessions"))
		} else if uint64(d) > a.netlinkLost {
			c.netlinkLost.Add(uint64(d) - a.netlinkLost)
			a.netlinkLost = uint64(d)
		}
	}
	return broken
}

// rebase has the next check take the module's counters as they are, because they may be those of another instance.
func (a *audit) rebase() { a.base = nil }

// differ words a broken identity.
func differ(ours string, theirs joolnl.Stat, d int64, unit string) string {
	if d < 0 {
		return fmt.Sprintf("%s: %s is %d %s behind: the module did not take them", ours, theirs, -d, unit)
	}
	if ours == "reported" {
		return fmt.Sprintf("%s: %s is %d %s ahead: they did not reach us", ours, theirs, d, unit)
	}
	return fmt.Sprintf("%s: %s is %d %s ahead: another program writes to the instance", ours, theirs, d, unit)
}

// auditKernel takes the module's counters: how many sessions it has dropped since
// they were read before, and whether they agree with ours.
func (p *pumps) auditKernel(stats *joolnl.Stats, dropped uint64, now time.Time) {
	a := &p.audit
	a.answered = now
	if dropped > 0 {
		a.dropped = now
		p.w.counters.kernelDropped.Add(dropped)
	}
	if now.Sub(a.checked) >= auditEvery {
		a.checked = now
		a.broken = a.check(stats, p.w.counters, p.format.EntryLen())
		if d := a.checkIn(p.w.counters.Ledger(), p.w.counters.Losses(), p.host.Pending()); d != 0 {
			a.broken = append(a.broken, fmt.Sprintf("received + injected - ignored - untranslated - given is %d sessions, not 0; please report this", d))
		}
	}
	remedy := ""
	if dropped > 0 {
		remedy = p.roomCommand()
	}
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.w.state.Broken = a.broken
	if remedy != "" {
		p.w.state.DropRemedy = remedy
	}
	p.w.state.Answered, p.w.state.KernelDropped = now, a.dropped
}

// checkIn does for the way in what check does for the way out. pending are sessions
// that wait.
func (a *audit) checkIn(l Ledger, losses Losses, pending uint64) int64 {
	came := l.Received + l.Injected
	went := l.Ignored + losses.Untranslated + l.Given + pending
	if a.inBase == nil {
		base := came - went
		a.inBase = &base
	}
	return a.in.check(came-*a.inBase, went)
}

// sessionsIn is how many sessions a list holds.
func sessionsIn(entries []byte) uint64 { return uint64(session.ListFormat(entries).CountList(entries)) }

// roomCommand is the command that doubles the module's queue, or makes it as long as "tune ss" does.
func (p *pumps) roomCommand() string {
	spec := p.w.spec()
	return inside(spec.Namespace, fmt.Sprintf("jool -i %s global update ss-capacity %d", spec.Instance, replication.MoreCapacity(p.host.Settings().SSCapacity)))
}
