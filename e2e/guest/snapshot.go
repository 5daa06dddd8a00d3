package guest

import (
	"time"

	"joolctl/joolnl"
)

// Snapshot is an instance's whole table and when it was read, by the wall
// clock, so that tables of different machines can be compared.
type Snapshot struct {
	At       time.Time
	Sessions []joolnl.Session
}

// Diff says what is different between a table and a standby's, "" if nothing is
// but the time left, within the tolerance.
func (s Snapshot) Diff(standby Snapshot) string {
	later := standby.At.Sub(s.At)
	aged := make([]joolnl.Session, len(standby.Sessions))
	for i, session := range standby.Sessions {
		session.Expires += later
		aged[i] = session
	}
	return diff(s.Sessions, aged)
}
