package joolnl

// Names of the counters that matter to synchronisation, as Jool spells them.
const (
	StatSessions        = "JSTAT_SESSIONS"
	StatSessionsSent    = "JSTAT_JOOLD_SSS_SENT"
	StatSessionsRcvd    = "JSTAT_JOOLD_SSS_RCVD"
	StatSessionsDropped = "JSTAT_JOOLD_SSS_ENOSPC"
	StatPacketsRcvd     = "JSTAT_JOOLD_PKT_RCVD"
)

// firstStats are the counters 1 to 5, the same in every version.
var firstStats = []string{"JSTAT_RECEIVED6", "JSTAT_RECEIVED4", "JSTAT_SUCCESS", "JSTAT_BIB_ENTRIES", StatSessions}

// jooldStats are the counters of session synchronisation, in the order of
// their numbers.
var jooldStats = []string{
	"JSTAT_JOOLD_EMPTY", "JSTAT_JOOLD_TIMEOUT", "JSTAT_JOOLD_MISSING_ACK", "JSTAT_JOOLD_AD_ONGOING",
	"JSTAT_JOOLD_PKT_FULL", "JSTAT_JOOLD_QUEUING", "JSTAT_JOOLD_SSS_QUEUED", StatSessionsSent,
	StatSessionsRcvd, StatSessionsDropped, "JSTAT_JOOLD_PKT_SENT", StatPacketsRcvd,
	"JSTAT_JOOLD_ADS", "JSTAT_JOOLD_ACKS",
}

// StatName is the name of counter id in this module's list, and false for
// those that have nothing to do with sessions.
func (v Version) StatName(id int) (string, bool) {
	if id >= 1 && id <= len(firstStats) {
		return firstStats[id-1], true
	}
	n := id - 69
	switch {
	case v.next() && v.Format() == Nested, !v.next() && v.revision() < 12:
		return "", false // the module has none
	case v.next():
		n = id - 78
	case v.revision() == 12:
		switch { // one more, in fifth place: JSTAT_JOOLD_FLUSH_ASAP
		case n == 4:
			return "JSTAT_JOOLD_FLUSH_ASAP", true
		case n > 4:
			n--
		}
	}
	if n < 0 || n >= len(jooldStats) {
		return "", false
	}
	return jooldStats[n], true
}

// NamedStats gives the counters of ParseStats their names.
func (v Version) NamedStats(stats map[int]uint64) map[string]uint64 {
	named := make(map[string]uint64)
	for id, n := range stats {
		if name, ok := v.StatName(id); ok {
			named[name] = n
		}
	}
	return named
}
