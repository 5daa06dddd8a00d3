package sim

import (
	"joolctl/joolnl"
	"joolctl/session"
)

// counters are an instance's counters that concern sessions.
type counters struct {
	received6, received4, success                                uint64
	empty, timeout, missingAck, adOngoing, flushASAP, packetFull uint64
	queuing                                                      uint64
	sessionsQueued, sessionsSent, sessionsRcvd, sessionsDropped  uint64
	packetsSent, packetsRcvd, ads, acks                          uint64
	collisions                                                   uint64 // the module has no such counter
}

// Stats is STATS_FOREACH: the counters that a module of this version has.
func (m *Module) Stats() (joolnl.Stats, error) {
	var s joolnl.Stats
	switch {
	case m.gone:
		return s, ErrNoInstance
	case m.fails(m.RequestLoss):
		return s, ErrNoMemory
	}
	m.expire()
	c := &m.counters
	s.Set(joolnl.StatReceived6, c.received6)
	s.Set(joolnl.StatReceived4, c.received4)
	s.Set(joolnl.StatSuccess, c.success)
	s.Set(joolnl.StatBIBEntries, uint64(len(m.bib.byMask)))
	s.Set(joolnl.StatSessions, uint64(len(m.sessions)))
	if m.Version().Format() == session.Nested {
		return s, nil // up to 4.1.11 there are no others
	}
	s.Set(joolnl.StatEmpty, c.empty)
	s.Set(joolnl.StatTimeout, c.timeout)
	s.Set(joolnl.StatMissingAck, c.missingAck)
	s.Set(joolnl.StatAdOngoing, c.adOngoing)
	s.Set(joolnl.StatPacketFull, c.packetFull)
	s.Set(joolnl.StatQueuing, c.queuing)
	s.Set(joolnl.StatSessionsQueued, c.sessionsQueued)
	s.Set(joolnl.StatSessionsSent, c.sessionsSent)
	s.Set(joolnl.StatSessionsRcvd, c.sessionsRcvd)
	s.Set(joolnl.StatSessionsDropped, c.sessionsDropped)
	s.Set(joolnl.StatPacketsSent, c.packetsSent)
	s.Set(joolnl.StatPacketsRcvd, c.packetsRcvd)
	s.Set(joolnl.StatAds, c.ads)
	s.Set(joolnl.StatAcks, c.acks)
	if m.Version().Format() == session.Packed52 {
		s.Set(joolnl.StatFlushASAP, c.flushASAP)
	}
	return s, nil
}

// Collisions returns how many sessions of JOOLD_ADDs met a BIB entry in the way. A real module does not tell.
func (m *Module) Collisions() uint64 { return m.counters.collisions }
