package worker

import (
	"time"

	"joolctl/syncwire"
)

// complete reports whether the table has everything that the peers' tables have, and stays so while the link works.
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

// restartCount has IncompleteSince count from now on: the table may lack more than it lacked before.
func (s *SyncState) restartCount() { s.IncompleteSince = time.Time{} }

// change changes the state that other goroutines read.
func (w *Worker) change(now time.Time, fn func(*SyncState)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fn(&w.state)
	w.state.note(now)
}
