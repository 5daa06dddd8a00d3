package replication

import "time"

const (
	// Beat is the interval of the moments at which a host under traffic does work that may wait, and IdleBeat that without traffic.
	Beat     = time.Second
	IdleBeat = 5 * time.Second
)

// Beats are moments that all hosts of a process share, so that its threads wake up together. A thread that wakes up costs more
// than its work.
type Beats struct{ Epoch time.Time }

// At returns the last moment not after at, of those that are a multiple of every after the epoch.
func (b Beats) At(at time.Time, every time.Duration) time.Time {
	return b.Epoch.Add(at.Sub(b.Epoch).Truncate(every))
}
