package guest

import (
	"time"

	"joolctl/session"
)

// Snapshot is an instance's whole table and when it was read, by the wall
// clock, so that tables of different machines can be compared.
type Snapshot struct {
	At       time.Time
	Sessions []session.Session
}

// Diff says what is different between a table and a standby's, "" if nothing is
// but the time left, within the tolerance.
func (s Snapshot) Diff(standby Snapshot) string {
	return diff(s.Sessions, standby.agedTo(s.At))
}

// Equal is how many of a table's sessions a standby has as they are, but for the time left.
func (s Snapshot) Equal(standby Snapshot) int {
	differ, _ := unlike(s.Sessions, standby.agedTo(s.At))
	return len(s.Sessions) - len(differ)
}

// agedTo is the table as it was, or will be, at a time.
func (s Snapshot) agedTo(at time.Time) []session.Session {
	aged := make([]session.Session, len(s.Sessions))
	for i, session := range s.Sessions {
		session.Expires += s.At.Sub(at)
		aged[i] = session
	}
	return aged
}
