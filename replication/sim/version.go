package sim

import (
	"time"

	"joolctl/joolnl"
)

// Version is the state and the age of a session in a table, without its mask.
type Version struct {
	State joolnl.State
	Timer joolnl.Timer
	// Updated is the time of the last packet that renewed the session, as its time left shows it.
	Updated time.Time
}

// progress orders the states of a session by when they are reached (RFC 6146, section 3.5.2).
func (v Version) progress() int {
	return [...]int{
		joolnl.V6Init: 0, joolnl.V4Init: 1, joolnl.Established: 2,
		joolnl.V4FinRcv: 3, joolnl.V6FinRcv: 4, joolnl.V4FinV6FinRcv: 5, joolnl.Trans: 6,
	}[v.State]
}

func (v Version) opening() bool { return v.State == joolnl.V6Init || v.State == joolnl.V4Init }

// sameMoment bounds the difference between two times of one packet on two hosts: a datagram's delay adds to it.
const sameMoment = time.Second

// Beats reports whether v is newer than old: renewed later by more than the tolerance, or in a later state if both were
// renewed at about the same time.
func (v Version) Beats(old Version, tolerance time.Duration) bool {
	later := v.Updated.Sub(old.Updated)
	switch {
	case later > tolerance:
		return true
	case later < -tolerance || v.progress() <= old.progress():
		return false
	}
	// A packet may have led back from TRANS within the tolerance. Nothing leads back to the opening states.
	return old.opening() || later > -sameMoment
}

// MovesBack reports whether a session that changes from old to v loses time left beyond the tolerance, or a state that
// it had reached.
func (v Version) MovesBack(old Version, tolerance time.Duration) bool {
	later := v.Updated.Sub(old.Updated)
	switch {
	case later < -tolerance:
		return true
	case later > tolerance || v.progress() >= old.progress():
		return false
	}
	returned := old.State == joolnl.Trans && v.State == joolnl.Established && later > 0
	return !returned
}
