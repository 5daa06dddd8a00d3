package supervisor

import "time"

const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 30 * time.Second
	// healthy is how long a worker has to run for its failures to be forgotten.
	healthy = time.Minute
	// waitingPeriod is how often a worker that waits looks again.
	waitingPeriod = 800 * time.Millisecond
)

// backoff is how long to wait after a failure, the first of a series being 0:
// a part (0 to 1, drawn by the caller) of a limit that doubles each time.
func backoff(failure int, part float64) time.Duration {
	limit := lastBackoff
	if failure < 9 { // 100 ms << 9 is beyond the last
		limit = min(limit, firstBackoff<<failure)
	}
	return time.Duration(part * float64(limit))
}
