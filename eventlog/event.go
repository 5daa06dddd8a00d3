package eventlog

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"joolctl/replication"
)

// Kind names what happened. Programs may compare it.
type Kind string

// The kinds of events.
const (
	State          Kind = "state"            // the pair's worker came into another state
	Files          Kind = "files"            // the files of a pair appeared, changed, were refused or disappeared
	Verdict        Kind = "verdict"          // the verdict changed
	Peers          Kind = "peers"            // a peer is live, or is not live any more, or has another mode or other keys
	Link           Kind = "link"             // the network socket can neither send nor receive, or it can again
	FullSyncBegan  Kind = "full-sync-began"  // the table of a peer begins to arrive
	FullSyncEnded  Kind = "full-sync-ended"  // a full sync is stored
	FullSyncFailed Kind = "full-sync-failed" // a full sync stopped, or no peer answered
	Losses         Kind = "losses"           // counters of losses rose
	Settings       Kind = "settings"         // "tune ss" changed a setting of the instance, or the module refused that
)

// Severity says how urgent an event is.
type Severity string

// The severities.
const (
	Info    Severity = "info"
	Warning Severity = "warning"
	Error   Severity = "error"
)

// Event is something that happened to a pair.
type Event struct {
	// Number rises with each event, also across restarts of joolctl. Numbers have gaps.
	Number uint64 `json:"number"`
	// Time is when it happened.
	Time time.Time `json:"time"`
	// Pair is the name that the pair had.
	Pair string `json:"pair"`
	// Kind names the event: state, files, verdict, peers, link, full-sync-began, full-sync-ended, full-sync-failed, losses or settings.
	Kind Kind `json:"event"`
	// Severity is info, warning or error.
	Severity Severity `json:"severity"`
	// Setting is the name of the setting that changed.
	Setting string `json:"setting,omitempty"`
	// From is the value before the event: of the state, of the verdict, or of the setting.
	From string `json:"from,omitempty"`
	// To is the value after the event.
	To string `json:"to,omitempty"`
	// Peer is the address of the peer that the event concerns. It is missing if the event concerns none.
	Peer string `json:"peer,omitempty"`
	// Reasons are those of the verdict no.
	Reasons []replication.Reason `json:"reasons,omitempty"`
	// FullSync is the result of a full sync that is stored.
	FullSync *Result `json:"full_sync,omitempty"`
	// Losses has how much each counter of losses rose since the previous event of losses of the pair. The keys are those of losses in
	// status.
	Losses map[string]uint64 `json:"losses,omitempty"`
	// Text is the event in one line. Its wording may change.
	Text string `json:"text"`
}

// Result is the result of a full sync.
type Result struct {
	// Received is how many sessions the peer sent.
	Received int `json:"received_sessions"`
	// Injected is how many of the received sessions were given to the module.
	Injected int `json:"injected_sessions"`
	// Collided is how many sessions the module refused without an error.
	Collided int `json:"collided_sessions"`
	// Returned is how many sessions were sent back because the peer lacked them.
	Returned int `json:"returned_sessions"`
	// Seconds is the time from the peer's first message to the end.
	Seconds float64 `json:"duration_seconds"`
}

// maxText bounds the text of an event, in bytes.
const maxText = 1000

// clip bounds what an event keeps in memory.
func (e *Event) clip() {
	e.Text = strings.ToValidUTF8(strings.Join(strings.Fields(e.Text), " "), "")
	if len(e.Text) > maxText {
		e.Text = strings.ToValidUTF8(e.Text[:maxText], "") + "…"
	}
	e.Reasons = e.Reasons[:min(len(e.Reasons), replication.MaxReasons)]
	e.Time = e.Time.Round(0) // a wall clock without the monotonic one, as JSON has it
}

// StateChanged returns the event of a pair that came into another state. reason is why; "" while it runs.
func StateChanged(from, to, reason string, s Severity) Event {
	e := Event{Kind: State, Severity: s, From: from, To: to, Text: to}
	if reason != "" {
		e.Text += ": " + reason
	}
	return e
}

// VerdictChanged returns the event of another verdict.
func VerdictChanged(from, to string, reasons []replication.Reason) Event {
	e := Event{Kind: Verdict, Severity: Info, From: from, To: to, Reasons: slices.Clone(reasons), Text: from + " → " + to}
	if to != "yes" {
		e.Severity = Warning
	}
	for i, reason := range reasons {
		separator := "; "
		if i == 0 {
			separator = ": "
		}
		e.Text += separator + reason.Text
	}
	return e
}

// PeerSecured returns the event of a peer that has another mode or other keys.
func PeerSecured(p replication.PeerSecured) Event {
	e := Event{Kind: Peers, Severity: Info, Setting: "security", From: p.Was.String(), To: p.Is.String(), Peer: p.From.String()}
	e.Text = fmt.Sprintf("peer %s: security %s → %s", e.Peer, e.From, e.To)
	return e
}

// SyncEnded returns the event of a full sync that is stored.
func SyncEnded(r replication.SyncReport) Event {
	result := Result{r.Got, r.Injected, r.Collisions, r.GaveBack, r.Took.Seconds()}
	return Event{Kind: FullSyncEnded, Severity: Info, Peer: r.From, FullSync: &result,
		Text: fmt.Sprintf("full sync from %s: %d sessions received, %d given to the module, in %v", r.From, r.Got, r.Injected, r.Took.Round(time.Millisecond))}
}

// LossesRose returns the event of counters of losses that rose by the given amounts, keyed as in JSON.
func LossesRose(losses map[string]uint64) Event {
	e := Event{Kind: Losses, Severity: Warning, Losses: losses}
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(losses)) {
		parts = append(parts, fmt.Sprintf("%s +%d", strings.ReplaceAll(key, "_", " "), losses[key]))
	}
	e.Text = strings.Join(parts, ", ")
	return e
}
