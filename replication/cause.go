package replication

// Causes of full syncs, as status and the log show them.
const (
	CauseStart       = "start"
	CauseMoved       = "the group or the interface changed"
	CauseRenewed     = "the instance was recreated"
	CauseLacks       = "a peer has sessions that are missing here"
	CauseLargerTable = "a peer holds more sessions"
	// CauseBlocked follows a full sync that was not allowed to remove all BIB entries in its way.
	CauseBlocked = "older mappings are in the way"
	// CauseVerification has no evidence that sessions are missing: the module may lose sessions without a trace, and as long as
	// tables grow their sizes do not show it.
	CauseVerification = "verification"
	// CauseReturned, CauseAdvertised and CauseOffered are those of full syncs that this host has not requested.
	CauseReturned   = "given back"
	CauseAdvertised = "advertised"
	CauseOffered    = "offered"
	CauseResumed    = "resumed" // of a resumed full sync, if no other one is known
	// CauseInherited stands for a start without a full sync.
	CauseInherited = "nothing was missed"
)

// Withholds reports whether live datagrams wait for a full sync of that cause, so that the table lacks them and the host is not
// complete meanwhile. A full sync that this host did not need brings next to nothing, so no update waits for it.
func Withholds(cause string) bool {
	switch cause {
	case CauseVerification, CauseReturned, CauseAdvertised, CauseOffered:
		return false
	}
	return true
}
