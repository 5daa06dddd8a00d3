package worker

import (
	"fmt"

	"joolctl/syncwire"
)

// SyncState is how complete a worker knows its instance's table to be.
type SyncState struct {
	// Synced is SyncYes once a resync has ended complete, SyncAlone while nobody
	// of ours answers: upstream's joolds can't tell.
	Synced syncwire.Sync
	// Phase is what a resync under way does now, "" while there is none, and Why
	// what it is for.
	Phase, Why string
	// Done and Total are sessions: received, or injected, and of how many.
	Done, Total int
	// Last is the last resync that ended complete; nil: none yet.
	Last *ResyncReport
}

// String is the state in a few words.
func (s SyncState) String() string {
	switch {
	case s.Phase != "" && s.Total > 0:
		return fmt.Sprintf("%s, %d of %d (%d %%)", s.Phase, s.Done, s.Total, 100*s.Done/s.Total)
	case s.Phase != "":
		return s.Phase
	}
	return s.Synced.String()
}

// Sync tells how complete the table is.
func (w *Worker) Sync() SyncState {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

// publishSync lets others see where the resync stands.
func (p *pumps) publishSync() {
	r := &p.resync
	s := SyncState{Synced: r.sync, Why: r.why}
	if r.phase != settled {
		s.Phase = r.phase.String()
	}
	switch r.phase {
	case collecting:
		s.Done, s.Total = int(r.in.sessions), int(r.in.expected)
	case injecting:
		s.Done, s.Total = r.injected, len(r.inject)
	}
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	s.Last = p.w.state.Last
	p.w.state = s
}

// reportResync lets others see what the last resync came to.
func (w *Worker) reportResync(r ResyncReport) {
	w.mu.Lock()
	w.state.Last = &r
	w.mu.Unlock()
	w.log.to.Info("a resync has ended", "from", r.From, "why", r.Why, "got", r.Got, "had", r.Had, "injected", r.Injected,
		"collisions", r.Collisions, "gave back", r.GaveBack, "took", r.Took,
		"receiving", r.Receiving, "comparing", r.Comparing, "injecting", r.Injecting)
}
