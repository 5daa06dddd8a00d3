package replication

import (
	"fmt"
	"time"
)

// AuditEvery is the least time between two checks of an Audit: sessions in flight arrive meanwhile.
const AuditEvery = time.Second

// Tally has the host's own counters at one moment: of sessions, if nothing else is said. They outlive the worker.
type Tally struct {
	// On the way out, Reported - Coalesced + Refreshed = Sent + Unsent.
	Reported, Coalesced, Refreshed, Sent, Unsent uint64
	// On the way in, Received + Injected = Ignored + Untranslated + Given + Pending.
	Received, Injected, Ignored, Untranslated, Given, Pending uint64
	// GivenPackets and GivenBytes are the messages, and the bytes of sessions, that the module was given since the worker's start.
	GivenPackets, GivenBytes uint64
	// Overruns is how often reports overran the netlink socket.
	Overruns uint64
}

// Audit compares counters that should be equal: the module's with the host's own ones, and these with each other. A difference
// shows that sessions are lost.
type Audit struct {
	base *books // at the worker's start, or the instance's

	packets, bytes, reports balance
	out, in                 flow
	checked                 time.Time
	broken                  []string
	// reportsBase is the least difference between the sessions that the module has reported and those that were received from
	// it: the module counts reports that were sent before the worker's start.
	reportsBase int64
	overruns    uint64 // when base was taken
	netlinkLost uint64 // since then
}

// books has both sides' counters at one moment.
type books struct {
	module ModuleCounters
	own    Tally
}

// balance watches two counters that should be equal. Sessions that are being sent make them differ, so a difference counts only
// if it outlasts two checks without traffic, or has grown at three checks in a row.
type balance struct {
	diff  int64
	total uint64 // of both counters
	still int    // checks at which neither has changed and they differed
	grown int    // checks in a row at which the difference had grown
}

// check takes the counters and returns the difference if it counts, else 0.
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
	case diff == b.diff: // both have risen by as much
	default:
		b.still, b.grown = 0, 0
	}
	b.diff, b.total = diff, total
	if b.still >= 2 || b.grown >= 3 {
		return diff
	}
	return 0
}

// flow compares the sessions that arrive at one place of the host with those that leave it. The counters outlive the worker: its
// base are the sessions that workers before it have not counted further.
type flow struct {
	base *uint64
	balance
}

// since returns both counters without the base. The first call sets it.
func (f *flow) since(came, went uint64) (uint64, uint64) {
	if f.base == nil {
		base := came - went
		f.base = &base
	}
	return came - *f.base, went
}

// Rebase has the next check take the module's counters as they are, because they may be those of another instance.
func (a *Audit) Rebase() { a.base = nil }

// Check compares the counters, unless it has done so within AuditEvery, and returns those that differ, one line each. lost is how
// many more sessions are known to be lost between the module and the netlink socket. entryLen is the length of a session in
// the module's format.
func (a *Audit) Check(m ModuleCounters, t Tally, entryLen int, now time.Time) (broken []string, lost uint64) {
	if now.Sub(a.checked) < AuditEvery {
		return a.broken, 0
	}
	a.checked = now
	a.broken, lost = a.check(m, t, entryLen)
	if d := a.in.check(a.Received(t)); d != 0 {
		a.broken = append(a.broken, fmt.Sprintf("received + injected - ignored - untranslated - given is %d sessions, not 0; please report this", d))
	}
	return a.broken, lost
}

// Received returns the sessions that were received since the worker's start, and those of them that are accounted for.
func (a *Audit) Received(t Tally) (came, went uint64) {
	return a.in.since(t.Received+t.Injected, t.Ignored+t.Untranslated+t.Given+t.Pending)
}

// check compares the counters of the way out, and those of the module if it has any.
func (a *Audit) check(m ModuleCounters, t Tally, entryLen int) (broken []string, lost uint64) {
	if d := a.out.check(a.out.since(t.Reported+t.Refreshed, t.Coalesced+t.Sent+t.Unsent)); d != 0 {
		broken = append(broken, fmt.Sprintf("reported - coalesced + refreshed - sent - unsent is %d sessions, not 0; please report this", d))
	}
	if !m.Complete {
		return broken, 0
	}
	if b := a.base; b == nil || m.Packets < b.module.Packets || m.Stored < b.module.Stored || m.Reported < b.module.Reported {
		// A new worker, or a new instance.
		a.base, a.packets, a.bytes, a.reports, a.reportsBase = &books{m, t}, balance{}, balance{}, balance{}, 0
		a.overruns, a.netlinkLost = t.Overruns, 0
		return broken, 0
	}
	was, own := &a.base.module, &a.base.own
	if d := a.packets.check(m.Packets-was.Packets, rise(t.GivenPackets, own.GivenPackets)); d != 0 {
		broken = append(broken, differ("KERNEL_SENT_PKTS", "JSTAT_JOOLD_PKT_RCVD", d, "packets"))
	}
	if d := a.bytes.check((m.Stored-was.Stored)*uint64(entryLen), rise(t.GivenBytes, own.GivenBytes)); d != 0 {
		broken = append(broken, differ("KERNEL_SENT_BYTES", "JSTAT_JOOLD_SSS_RCVD", d, "bytes"))
	}
	diff := int64(m.Reported-was.Reported) - int64(t.Reported-own.Reported)
	a.reportsBase = min(a.reportsBase, diff)
	if d := a.reports.check(uint64(diff-a.reportsBase), 0); d != 0 {
		if t.Overruns == a.overruns {
			broken = append(broken, differ("reported", "JSTAT_JOOLD_SSS_SENT", d, "sessions"))
		} else if uint64(d) > a.netlinkLost {
			lost = uint64(d) - a.netlinkLost
			a.netlinkLost = uint64(d)
		}
	}
	return broken, lost
}

// rise returns by how much a counter has risen. A fall (an error report of the module takes back what was counted) is 0.
func rise(now, base uint64) uint64 { return now - min(now, base) }

// differ words a difference.
func differ(ours, theirs string, d int64, unit string) string {
	if d < 0 {
		return fmt.Sprintf("%s: %s is %d %s behind: the module did not take them", ours, theirs, -d, unit)
	}
	if ours == "reported" {
		return fmt.Sprintf("%s: %s is %d %s ahead: they did not reach us", ours, theirs, d, unit)
	}
	return fmt.Sprintf("%s: %s is %d %s ahead: another program writes to the instance", ours, theirs, d, unit)
}
