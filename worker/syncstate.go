package worker

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"joolctl/replication"
	"joolctl/syncwire"
)

// SyncState is how complete a worker knows its instance's table to be.
type SyncState struct {
	// Synced is the verdict of replication.Receiver.
	Synced syncwire.Sync
	// Trouble is why the network carries no datagrams, and the command that helps; "": it carries them, as far as is known.
	Trouble string
	// Phase is the phase of the full sync under way, "" while there is none, and Why is its cause.
	Phase, Why string
	// Done and Total are sessions: received, or injected, and of how many.
	Done, Total int
	// Ends is when Done will reach Total at the rate until now; zero: not known yet.
	Ends time.Time
	// Last is the last full sync that was stored; nil: none yet.
	Last *replication.SyncReport
	// Lacking says what live peers' tables have and this one may lack; at most replication.MaxReasons. Blocked are sessions
	// that full syncs could not store because too many older mappings are in their way.
	Lacking []replication.Reason
	Blocked int
	// IncompleteSince is when the table became incomplete: since then it lacks sessions, or may lack some, or no peer is
	// there to tell. Zero: it is complete. A new worker, a recreated instance and a link that goes down or comes back
	// start the count again.
	IncompleteSince time.Time
	// CompletePeer is when a HELLO last came from a peer that is complete, or alone and so has all that is left; zero: never.
	CompletePeer time.Time
	// Answered is when the module last answered; a worker asks it every two
	// seconds. KernelDropped is when it was last seen to have dropped sessions.
	Answered, KernelDropped time.Time
	// DropRemedy is the command that gives the module's queue more room; "" before it drops sessions.
	DropRemedy string
	// Broken names, one line each, counters of the module's and ours that should agree and do not.
	Broken []string
	// Advertise is the last advertise, under way or ended; nil: there was none.
	Advertise *replication.Advertise
	// Exposure is how long a new session exists on this host only.
	Exposure Exposure
}

// Incomplete reports whether the full sync under way brings sessions that this host lacks, or may lack.
func (s SyncState) Incomplete() bool {
	return s.Phase != "" && (s.Synced != syncwire.SyncYes || s.Why != replication.CauseReturned && s.Why != replication.CauseAdvertised && s.Why != replication.CauseVerification)
}

// String is the state in a few words.
func (s SyncState) String() string {
	switch {
	case s.Phase != "" && s.Total > 0:
		return fmt.Sprintf("%s, %d of %d (%d %%%s)", s.Phase, s.Done, s.Total, 100*s.Done/s.Total, s.EndsAt())
	case s.Phase != "":
		return s.Phase
	}
	return s.Synced.String()
}

// EndsAt words when what is under way ends, to follow its progress; "": that is not known.
func (s SyncState) EndsAt() string {
	if s.Ends.IsZero() {
		return ""
	}
	return ", done at about " + s.Ends.Format(time.TimeOnly)
}

// forecast sets Ends by the rate since the phase began, when before sessions were done.
func (s *SyncState) forecast(before int, began, now time.Time) {
	s.Ends = time.Time{}
	if elapsed, done := now.Sub(began), s.Done-before; done > 0 && elapsed >= time.Second {
		s.Ends = now.Add(time.Duration(float64(elapsed) * float64(max(s.Total-s.Done, 0)) / float64(done)))
	}
}

// Sync tells how complete the table is.
func (w *Worker) Sync() SyncState {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

// progress is where a phase of a full sync began, for the forecast.
type progress struct {
	phase  replication.Phase
	before int // SyncState.Done at the beginning of phase
}

// publishSync lets others see what the receiver does.
func (p *pumps) publishSync(now time.Time) {
	r := p.host.Progress()
	s := SyncState{Done: r.Done, Total: r.Total}
	if r.Phase != replication.PhaseSettled {
		s.Phase = r.Phase.String()
	}
	if p.progress.phase != r.Phase {
		p.progress = progress{r.Phase, r.Done}
	}
	s.forecast(p.progress.before, r.Since, now)
	p.w.change(now, func(was *SyncState) {
		was.Synced, was.Phase, was.Why, was.Done, was.Total, was.Ends = r.Sync, s.Phase, r.Cause, s.Done, s.Total, s.Ends
		was.Lacking, was.Blocked = r.Reasons, r.Blocked
	})
}

// reportSync lets others see what the last full sync came to.
func (w *Worker) reportSync(r replication.SyncReport) {
	w.mu.Lock()
	w.state.Last = &r
	w.mu.Unlock()
	level := slog.LevelInfo
	if r.Why == replication.CauseVerification && r.Injected == 0 && r.GaveBack == 0 {
		level = slog.LevelDebug // all is well, and is said in status
	}
	w.log.to.Log(context.Background(), level, "a full sync has ended", "from", r.From, "why", r.Why, "got", r.Got, "had", r.Had, "injected", r.Injected,
		"collisions", r.Collisions, "gave back", r.GaveBack, "took", r.Took,
		"receiving", r.Receiving, "comparing", r.Comparing, "injecting", r.Injecting)
}
