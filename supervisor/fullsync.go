package supervisor

import (
	"fmt"
	"time"

	"joolctl/replication"
	"joolctl/worker"
)

// FullSyncProgress is a full sync that this host receives, or is about to request.
type FullSyncProgress struct {
	// Phase is what happens at the moment, for example "receiving". Its wording may change.
	Phase string `json:"phase"`
	// Cause is why the full sync was requested. Its wording may change.
	Cause string `json:"cause"`
	// DoneSessions is how many sessions the phase has received or injected.
	DoneSessions int `json:"done_sessions"`
	// TotalSessions is how many sessions the phase is going to receive or inject. It is 0 if that is not known yet.
	TotalSessions int `json:"total_sessions"`
	// Ends is when the phase will end at the present rate. It is missing if that is not known yet.
	Ends time.Time `json:"ends,omitzero"`
	// Incomplete is true if the host receives the full sync because it lacks sessions, or may lack some.
	Incomplete bool `json:"incomplete"`
}

// String describes the full sync in a few words.
func (f *FullSyncProgress) String() string {
	if f.TotalSessions == 0 {
		return f.Phase
	}
	text := fmt.Sprintf("%s, %d of %d sessions (%d %%", f.Phase, f.DoneSessions, f.TotalSessions, f.Percent())
	if !f.Ends.IsZero() {
		text += ", done at about " + f.Ends.Format(time.TimeOnly)
	}
	return text + ")"
}

// Percent returns how much of the phase is done.
func (f *FullSyncProgress) Percent() int {
	if f.TotalSessions == 0 {
		return 0
	}
	return 100 * f.DoneSessions / f.TotalSessions
}

// progressOf returns the full sync that is under way; nil: there is none.
func progressOf(s worker.SyncState) *FullSyncProgress {
	if s.Phase == "" {
		return nil
	}
	return &FullSyncProgress{Phase: s.Phase, Cause: s.Why, DoneSessions: s.Done, TotalSessions: s.Total,
		Ends: s.Ends.Round(0), Incomplete: s.Incomplete()}
}

// FullSync is the result of a full sync.
type FullSync struct {
	// From is the address of the peer that sent its table.
	From string `json:"from"`
	// Cause is why the full sync was requested. Its wording may change.
	Cause string `json:"cause"`
	// At is when it ended.
	At time.Time `json:"at"`
	// Received is how many sessions the peer sent.
	Received int `json:"received_sessions"`
	// Own is how many sessions this host's table had before.
	Own int `json:"own_sessions"`
	// Injected is how many of the received sessions were given to the module.
	Injected int `json:"injected_sessions"`
	// Replaced is how many BIB entries were removed because the peer's were newer.
	Replaced int `json:"replaced_bib_entries"`
	// Collided is how many sessions the module refused without an error.
	Collided int `json:"collided_sessions"`
	// Returned is how many sessions were sent back because the peer lacked them.
	Returned int `json:"returned_sessions"`
	// Seconds is the time from the peer's first message to the end.
	Seconds float64 `json:"duration_seconds"`
	// Receiving is the part of the time that sessions arrived in.
	Receiving float64 `json:"receiving_seconds"`
	// Comparing is the part of the time that both tables were compared in.
	Comparing float64 `json:"comparing_seconds"`
	// Injecting is the part of the time that sessions were given to the module in.
	Injecting float64 `json:"injecting_seconds"`
}

// Duration returns the time from the peer's first message to the end.
func (f *FullSync) Duration() time.Duration { return time.Duration(f.Seconds * float64(time.Second)) }

// fullSyncOf returns the description of a full sync; nil: there was none.
func fullSyncOf(r *replication.SyncReport) *FullSync {
	if r == nil {
		return nil
	}
	return &FullSync{
		From: r.From, Cause: r.Why, At: r.At.Round(0), Received: r.Got, Own: r.Had, Injected: r.Injected, Replaced: r.Replaced,
		Collided: r.Collisions, Returned: r.GaveBack, Seconds: r.Took.Seconds(),
		Receiving: r.Receiving.Seconds(), Comparing: r.Comparing.Seconds(), Injecting: r.Injecting.Seconds(),
	}
}
