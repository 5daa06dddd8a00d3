package replication

import "time"

const (
	// FirstPause and LongestPause bound the pause between two full syncs for one reason, because a lasting difference
	// between two tables must cost little.
	FirstPause   = time.Second
	LongestPause = 5 * time.Minute
	// LastingFor is how long after a full sync that has stored nothing its reason counts as the same difference. A LargerTable
	// needs 21 HELLOs, which an idle peer sends in 3.5 minutes.
	LastingFor = 6 * time.Minute
)

// Backoff describes the last full sync for one reason. The zero value means that there was none.
type Backoff struct {
	Ended   time.Time
	Pause   time.Duration // before it
	Lasting bool          // it has stored nothing
}

// Next returns the pause between Ended and the next full sync for the same reason: FirstPause, or twice Pause if the reason
// is back soon after Ended.
func (b Backoff) Next(now time.Time) time.Duration {
	soon := 2 * b.Pause
	if b.Lasting {
		soon = max(soon, LastingFor)
	}
	if b.Ended.IsZero() || now.Sub(b.Ended) > soon {
		return FirstPause
	}
	return min(max(2*b.Pause, FirstPause), LongestPause)
}

// Pauses has the Backoff of each reason.
type Pauses map[string]Backoff
