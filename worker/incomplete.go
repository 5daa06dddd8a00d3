package worker

import (
	"time"

	"joolctl/syncwire"
)

// complete reports whether the table has all sessions of the peers' tables, and the link works, so that the table stays complete.
func (s *SyncState) complete() bool {
	return s.Synced == syncwire.SyncYes && !s.Incomplete() && s.Blocked == 0 && s.Trouble == ""
}

// note sets IncompleteSince after a change of the other fields.
func (s *SyncState) note(now time.Time) {
	switch {
	case s.complete():
		s.IncompleteSince = time.Time{}
	case s.IncompleteSince.IsZero():
		s.IncompleteSince = now
	}
}

// restartCount makes note set IncompleteSince to the present time, because the table may lack more sessions than before.
func (s *SyncState) restartCount() { s.IncompleteSince = time.Time{} }

// change applies fn to the state that other goroutines read, and updates IncompleteSince.
func (w *Worker) change(now time.Time, fn func(*SyncState)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fn(&w.state)
	w.state.note(now)
}
