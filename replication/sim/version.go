package sim

import (
	"time"

	"joolctl/session"
)

// Version is the state and the age of a session in a table, without its mask.
type Version struct {
	State session.State
	Timer session.Timer
	// Updated is the time of the last packet that renewed the session, as its time left shows it.
	Updated time.Time
}

// progress orders the states of a session by when they are reached (RFC 6146, section 3.5.2).
func (v Version) progress() int {
	return [...]int{
		session.V6Init: 0, session.V4Init: 1, session.Established: 2,
		session.V4FinRcv: 3, session.V6FinRcv: 4, session.V4FinV6FinRcv: 5, session.Trans: 6,
	}[v.State]
}

// finished reports whether the first FIN, which does not renew a session, may have been its last packet.
func (v Version) finished() bool { return v.State == session.V4FinRcv || v.State == session.V6FinRcv }

func (v Version) opening() bool { return v.State == session.V6Init || v.State == session.V4Init }

// sameMoment bounds the difference between two times of one packet on two hosts: a datagram's delay adds to it.
const sameMoment = time.Second

// transit is how long datagrams take at most while a fault delays them.
const transit = 300 * time.Millisecond

// Beats reports whether v is newer than old: renewed later by more than the tolerance, or in a later state if both were
// renewed at about the same time.
func (v Version) Beats(old Version, tolerance time.Duration) bool {
	later := v.Updated.Sub(old.Updated)
	switch {
	case later > tolerance:
		return true
	case later < -tolerance || v.progress() <= old.progress():
		return false
	case v.State == session.Trans && old.State == session.Established: // else a packet has led back from TRANS
		return later > -transit
	}
	// No packet leads back to the opening states.
	return old.opening() || later > -sameMoment
}

// MovesBack reports whether a session that changes from old to v loses time left beyond the tolerance, or a state that
// it had reached.
func (v Version) MovesBack(old Version, tolerance time.Duration) bool {
	return v.losesTime(old, tolerance) || v.losesState(old) && v.Updated.Sub(old.Updated) <= tolerance
}

// losesTime reports whether a session that changes from old to v loses time left beyond the tolerance.
func (v Version) losesTime(old Version, tolerance time.Duration) bool {
	return v.Updated.Sub(old.Updated) < -tolerance
}

// losesState reports whether v has a state of less progress than old. A packet that comes after old leads back from TRANS
// to ESTABLISHED.
func (v Version) losesState(old Version) bool {
	if old.State == session.Trans && v.State == session.Established && v.Updated.After(old.Updated) {
		return false
	}
	return v.progress() < old.progress()
}

// makesUpFor reports whether a session that has lost the state of old, and is at v now, has it again or has been changed
// by a packet after old.
func (v Version) makesUpFor(old Version) bool {
	return !v.losesState(old) || v.Updated.Sub(old.Updated) > sameMoment
}
