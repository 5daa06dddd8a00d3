package worker

import "time"

// beat is the distance of the moments that together knows, idleBeat that without
// traffic.
const (
	beat     = time.Second
	idleBeat = askIdle
)

var epoch = time.Now()

// together moves a moment for what is in no hurry to one that all workers of the
// process share, the beat's last before it. Waking up is what
// costs: after each time that a thread comes out of a wait, Go's runtime keeps
// its monitor busy for some milliseconds. With hundreds of workers that is
// several times the work itself, unless they wake up at the same moments.
func together(at time.Time, every time.Duration) time.Time {
	return epoch.Add(at.Sub(epoch).Truncate(every))
}
