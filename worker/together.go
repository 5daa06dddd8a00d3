package worker

import "time"

// togetherEvery is the distance of the moments that together knows.
const togetherEvery = time.Second

var epoch = time.Now()

// together moves a moment for what is in no hurry to one that all workers of the
// process share, at most half a second earlier or later. Waking up is what
// costs: after each time that a thread comes out of a wait, Go's runtime keeps
// its monitor busy for some milliseconds. With hundreds of workers that is
// several times the work itself, unless they wake up at the same moments.
func together(at time.Time) time.Time {
	return epoch.Add(at.Sub(epoch).Round(togetherEvery))
}
