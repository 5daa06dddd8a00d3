package replication

import (
	"slices"
	"time"
)

// DroppingFor is how long the module must not have dropped sessions for its drops to be over.
const DroppingFor = 2 * time.Second

// ModuleCounters are counters of the module. All but Sessions only rise; those that the module does not have are 0.
type ModuleCounters struct {
	// Sessions is how many sessions the instance has.
	Sessions uint64
	// Complete is true if the module has the counters Packets, Stored, Reported and Dropped.
	Complete bool
	// Packets and Stored count the messages and sessions that the module was given, Reported those sessions that it has
	// reported, Dropped those that it should have reported, and Translated the IPv6 packets.
	Packets, Stored, Reported, Dropped, Translated uint64
}

// fell reports whether a counter that only rises is lower now. A standby translates nothing, so its instance counts only the
// sessions that it was given.
func (was *ModuleCounters) fell(now *ModuleCounters) bool {
	return now.Translated < was.Translated || now.Packets < was.Packets || now.Stored < was.Stored || now.Reported < was.Reported
}

// Polled takes the module's counters. They show that the module dropped sessions, or that the instance is another one. It returns
// how many sessions the module dropped since the last time, and whether the instance is another one.
func (h *Host) Polled(c ModuleCounters, now time.Time) (dropped uint64, renewed bool) {
	was := h.counters
	if !h.counted {
		was = c
	}
	h.counters, h.counted, h.polled = c, true, now
	if c.Dropped > was.Dropped {
		dropped = c.Dropped - was.Dropped
		h.dropped = now
		h.do.Emit(ModuleDropped{dropped})
		h.Dropped(now)
	}
	if renewed = was.fell(&c) || h.tableFell(&was, &c, now); renewed {
		h.incarnate()
		h.Listen(CauseRenewed, now)
	}
	return dropped, renewed
}

// tableFell reports whether the table has lost so many sessions that the instance is another one, if the module lacks the counters
// that show it: more than half of them, though a live peer, if there is one, holds more than twice as many. Many sessions that
// expire at once do so on all hosts.
func (h *Host) tableFell(was, c *ModuleCounters, now time.Time) bool {
	if c.Complete || c.Sessions >= was.Sessions/2 || h.Receiver.removes() {
		return false
	}
	live := h.Peers.Live(now)
	return len(live) == 0 || slices.ContainsFunc(live, func(known *Peer) bool { return uint64(known.Sessions) > 2*c.Sessions })
}

// Dropping reports whether the module drops sessions that it should report.
func (h *Host) Dropping(now time.Time) bool { return now.Sub(h.dropped) < DroppingFor }

// Begin continues the incarnation of the worker before (see Checkpoint) if the module was neither given anything since nor has
// reported sessions that were not heard, else it begins a new one. The module's counters must have been read. adopted is true if
// the host has the netlink socket of the worker before.
func (h *Host) Begin(c *Checkpoint, adopted bool, now time.Time) {
	if c != nil && adopted {
		h.Stalls.Suspect(now.Sub(c.Written)) // the reports that wait in the socket
	}
	if c == nil || !h.unchanged(c, adopted) {
		h.incarnate()
		return
	}
	h.Knowledge.Continue(c, now)
	h.Receiver.Inherit()
}

// unchanged reports whether the module's counters are those of a checkpoint.
func (h *Host) unchanged(c *Checkpoint, adopted bool) bool {
	was, now := &c.Counters, &h.counters
	if !h.counted || !now.Complete || was.Reported+was.Stored == 0 || was.fell(now) { // a checkpoint that has only the time has no counters
		return false
	}
	// The reports that wait in an adopted socket left the module after the worker before had read the counters.
	reported := now.Reported == was.Reported || adopted && now.Reported > was.Reported
	return now.Packets == was.Packets && now.Stored == was.Stored && now.Dropped == was.Dropped && reported
}

// incarnate begins a new incarnation: the table may lack any session.
func (h *Host) incarnate() {
	h.Retransmitter.Free()
	h.SentLog.Free()
	for _, known := range h.Peers.All() {
		known.lagging = lagging{} // until its next HELLO
	}
	h.Knowledge.Incarnate(h.newID(), h.counted && h.Sessions() == 0, h.do.Now())
	h.Receiver.Incarnated()
	h.began = h.do.Now()
}

// MayCheckpoint reports whether the vector says what the table contains, so that another worker may continue this incarnation.
func (h *Host) MayCheckpoint(now time.Time) bool {
	if !h.Sequence || h.Receiver.Stores() || len(h.Receiver.blocked) > 0 || h.Dropping(now) {
		return false
	}
	for _, known := range h.Peers.All() {
		if known.ID == 0 && now.Sub(known.LastHeard) <= AbsentAfter {
			return false // no peer retransmits what an upstream joold sends meanwhile
		}
	}
	return true
}

// Counts reports whether the position counts all sessions that the module had reported or dropped by the time that it had these
// counters.
func (h *Host) Counts(c *ModuleCounters) bool {
	return c.Complete && !h.counters.fell(c) && c.Dropped == h.counters.Dropped
}

// Checkpoint returns what another worker needs to continue this incarnation. c are the module's counters.
func (h *Host) Checkpoint(c ModuleCounters, now time.Time) Checkpoint {
	p := h.Knowledge.Checkpoint(now)
	p.Counters = c
	return p
}
