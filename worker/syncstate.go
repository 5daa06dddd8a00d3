package worker

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"joolctl/eventlog"
	"joolctl/replication"
	"joolctl/seal"
	"joolctl/syncwire"
)

// SyncState says how complete the instance's table is, and what the worker does about it.
type SyncState struct {
	// Synced is the verdict: SyncYes if the table has all sessions of the live peers' tables, SyncAlone if there is no live peer.
	// Upstream's joolds do not count as peers here, because they do not say what their tables have.
	Synced syncwire.Sync
	// Trouble says why the network socket can neither send nor receive, and which command helps; "" if it can.
	Trouble string
	// Sessions is how many sessions the instance's table had when the module last replied.
	Sessions uint64
	// Phase is the phase of the full sync that is under way, "" if there is none. Why is the reason for the full sync.
	Phase, Why string
	// Done is how many sessions the present phase has received or injected, and Total how many it is going to.
	Done, Total int
	// Ends is when Done will reach Total at the present rate; zero: not known yet.
	Ends time.Time
	// Last is the last full sync that was stored; nil: none yet.
	Last *replication.SyncReport
	// Lacking lists the sessions of live peers' tables that this table may lack; at most replication.MaxReasons entries. Blocked
	// is the number of sessions of the peer BlockedBy that full syncs could not store because they collide with too many older
	// mappings, since BlockedSince.
	Lacking      []replication.Reason
	Blocked      int
	BlockedBy    netip.Addr
	BlockedSince time.Time
	// IncompleteSince is when the table became incomplete: since then it lacks sessions, or may lack some, or there is no live
	// peer to compare it with. Zero: it is complete. A new worker, a recreated instance, and a link that goes down or up set it to
	// the present time.
	IncompleteSince time.Time
	// CompletePeer is when the last HELLO arrived from a peer that is complete, or alone (an alone peer has all remaining
	// sessions); zero: never.
	CompletePeer time.Time
	// Answered is when the module last replied to a request; the worker sends one every two seconds. KernelDropped is when the
	// worker last found that the module had dropped sessions, and DropsSince when these drops began: less than DropsCount lies
	// between two of them. Drops is how many sessions the module has dropped since then.
	Answered, KernelDropped, DropsSince time.Time
	Drops                               uint64
	// DropRemedy is the command that enlarges the module's queue; "" until the module drops sessions.
	DropRemedy string
	// Broken has a line for each pair of counters that should agree and do not; since BrokenSince there has been one.
	Broken      []string
	BrokenSince time.Time
	// Unlisted is the last address that sent a datagram and that the spec's peers do not list, as far as one a second is noted, and
	// UnlistedAt is when. It may be a peer's: behind a NAT, or with several addresses.
	Unlisted   netip.Addr
	UnlistedAt time.Time
	// Advertise is the state of the last advertise, which may be under way; nil: there was none.
	Advertise *replication.Advertise
	// Path says that packets of the pair's MTU do not reach a peer.
	Path replication.PathTrouble
	// Exposure is how long a new session exists on this host only.
	Exposure Exposure
	// SecuritySince is since when the host has had its present mode and keys.
	SecuritySince time.Time
	// Refused are the datagrams that were refused within the last minute, the addresses of peers first. Anybody can send such datagrams.
	Refused []Refused
	// Links are the peers whose sealed datagrams this host opens.
	Links []seal.Link
}

// Incomplete reports whether a full sync is under way because this host lacks sessions, or may lack some, or live datagrams wait for it.
func (s SyncState) Incomplete() bool {
	return s.Phase != "" && (s.Synced != syncwire.SyncYes || replication.Withholds(s.Why))
}

// String describes the state in a few words.
func (s SyncState) String() string {
	switch {
	case s.Phase != "" && s.Total > 0:
		return fmt.Sprintf("%s, %d of %d (%d %%%s)", s.Phase, s.Done, s.Total, 100*s.Done/s.Total, s.EndsAt())
	case s.Phase != "":
		return s.Phase
	}
	return s.Synced.String()
}

// EndsAt returns the words that follow the progress of a phase: when it will end, or "" if that is not known.
func (s SyncState) EndsAt() string {
	if s.Ends.IsZero() {
		return ""
	}
	return ", done at about " + s.Ends.Format(time.TimeOnly)
}

// forecast computes Ends from the progress of the present phase. At the phase's beginning, began, Done was before.
func (s *SyncState) forecast(before int, began, now time.Time) {
	s.Ends = time.Time{}
	if elapsed, done := now.Sub(began), s.Done-before; done > 0 && elapsed >= time.Second {
		s.Ends = now.Add(time.Duration(float64(elapsed) * float64(max(s.Total-s.Done, 0)) / float64(done)))
	}
}

// Sync returns how complete the table is.
func (w *Worker) Sync() SyncState {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

// progress is the state at the beginning of a phase of a full sync, for the forecast.
type progress struct {
	phase  replication.Phase
	before int // SyncState.Done at the beginning of the phase
}

// publishSync copies the state of the receiver of full syncs to where other goroutines can read it.
func (p *pumps) publishSync(now time.Time) {
	r := p.host.Progress()
	s := SyncState{Done: r.Done, Total: r.Total}
	if r.Phase != replication.PhaseSettled {
		s.Phase = r.Phase.String()
	}
	if p.progress.phase != r.Phase {
		if r.Phase == replication.PhaseCollecting && r.Cause != replication.CauseVerification { // reportSync leaves out most ends of these

			p.w.event(eventlog.Event{Kind: eventlog.FullSyncBegan, Severity: eventlog.Info, Text: "a peer's session table arrives, because: " + cmp.Or(r.Cause, "the peer sends it by itself")})
		}
		p.progress = progress{r.Phase, r.Done}
	}
	s.forecast(p.progress.before, r.Since, now)
	p.w.change(now, func(was *SyncState) {
		was.Synced, was.Phase, was.Why, was.Done, was.Total, was.Ends = r.Sync, s.Phase, r.Cause, s.Done, s.Total, s.Ends
		was.Lacking, was.Blocked, was.BlockedBy, was.BlockedSince = r.Reasons, r.Blocked, r.BlockedBy, r.BlockedSince
	})
}

// reportSync publishes and logs the result of a full sync.
func (w *Worker) reportSync(r replication.SyncReport) {
	w.mu.Lock()
	w.state.Last = &r
	w.mu.Unlock()
	level := slog.LevelInfo
	if r.Why == replication.CauseVerification && r.Injected == 0 && r.GaveBack == 0 {
		level = slog.LevelDebug // the verification found no difference; status shows it
	} else if r.Why != replication.CauseInherited { // no table was sent
		w.event(eventlog.SyncEnded(r))
	}
	w.log.to().Log(context.Background(), level, "a full sync has ended", "from", r.From, "why", r.Why, "got", r.Got, "had", r.Had, "injected", r.Injected,
		"collisions", r.Collisions, "gave back", r.GaveBack, "took", r.Took,
		"receiving", r.Receiving, "comparing", r.Comparing, "injecting", r.Injecting)
}
