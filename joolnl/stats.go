package joolnl

import "joolctl/session"

// Stat identifies one of an instance's counters that concern sessions.
type Stat uint8

// The counters, in the order of their numbers in the module. The numbers of the first five are the same in every
// version.
const (
	StatReceived6 Stat = iota
	StatReceived4
	StatSuccess
	StatBIBEntries
	StatSessions
	StatEmpty
	StatTimeout
	StatMissingAck
	StatAdOngoing
	StatPacketFull
	StatQueuing
	StatSessionsQueued
	StatSessionsSent
	StatSessionsRcvd
	StatSessionsDropped
	StatPacketsSent
	StatPacketsRcvd
	StatAds
	StatAcks
	StatFlushASAP // 4.1.12 only, where it is the fifth counter of session synchronisation
	statCount
)

var statNames = [statCount]string{
	"JSTAT_RECEIVED6", "JSTAT_RECEIVED4", "JSTAT_SUCCESS", "JSTAT_BIB_ENTRIES", "JSTAT_SESSIONS",
	"JSTAT_JOOLD_EMPTY", "JSTAT_JOOLD_TIMEOUT", "JSTAT_JOOLD_MISSING_ACK", "JSTAT_JOOLD_AD_ONGOING",
	"JSTAT_JOOLD_PKT_FULL", "JSTAT_JOOLD_QUEUING", "JSTAT_JOOLD_SSS_QUEUED", "JSTAT_JOOLD_SSS_SENT",
	"JSTAT_JOOLD_SSS_RCVD", "JSTAT_JOOLD_SSS_ENOSPC", "JSTAT_JOOLD_PKT_SENT", "JSTAT_JOOLD_PKT_RCVD",
	"JSTAT_JOOLD_ADS", "JSTAT_JOOLD_ACKS", "JSTAT_JOOLD_FLUSH_ASAP",
}

// String returns the counter's name in Jool (JSTAT_…).
func (s Stat) String() string { return statNames[s] }

// Stat returns the counter with the number id in this version, and false for a counter that does not concern
// sessions.
func (v Version) Stat(id int) (Stat, bool) {
	if id >= 1 && id <= int(StatSessions)+1 {
		return Stat(id - 1), true
	}
	n := id - 69
	if n < 0 { // most of them
		return 0, false
	}
	switch {
	case v.next() && v.Format() == session.Nested, !v.next() && v.revision() < 12:
		return 0, false // the module has no such counters
	case v.next():
		n = id - 78
	case v.revision() == 12:
		switch {
		case n == 4:
			return StatFlushASAP, true
		case n > 4:
			n--
		}
	}
	if n < 0 || n > int(StatAcks-StatEmpty) {
		return 0, false
	}
	return StatEmpty + Stat(n), true
}

// Stats are the counters of an instance that concern sessions, as many as its module has.
type Stats struct {
	values [statCount]uint64
	has    uint32 // bit k: the module has counter k
}

// Set sets the value of a counter.
func (s *Stats) Set(k Stat, value uint64) {
	s.values[k] = value
	s.has |= 1 << k
}

// Get returns a counter's value; 0 if the module has no such counter.
func (s *Stats) Get(k Stat) uint64 { return s.values[k] }

// Has reports whether the module has the counter.
func (s *Stats) Has(k Stat) bool { return s.has&(1<<k) != 0 }

// Named returns the values of the module's counters by Jool's names (JSTAT_…).
func (s *Stats) Named() map[string]uint64 {
	named := make(map[string]uint64)
	for k := range statCount {
		if s.Has(k) {
			named[k.String()] = s.values[k]
		}
	}
	return named
}
