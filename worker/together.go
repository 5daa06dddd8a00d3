package worker

import "time"

// beat is the distance of the moments that together knows, idleBeat that without
// traffic.
const (
	beat     = time.Second
	idleBeat = askIdle
)

// epoch is the first of the beats.
var epoch = time.Now()

// together moves a moment for what is in no hurry to one that all workers of the
// process share, the beat's last before it. Waking up is what costs: the clock of
// their threads (see nsthread) wakes up once for hundreds of them.
func (p *pumps) together(at time.Time, every time.Duration) time.Time {
	return p.epoch.Add(at.Sub(p.epoch).Truncate(every))
}
