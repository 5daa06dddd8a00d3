package supervisor

import "time"

const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 30 * time.Second
	// healthy is how long a worker must run before its earlier failures no longer count.
	healthy = time.Minute
	// waitingPeriod is the interval at which a waiting worker checks whether the missing item exists.
	waitingPeriod = 800 * time.Millisecond
)

// backoff returns the pause after a failure; the first failure of a series has the number 0. The pause is part (0 to 1,
// random) times a limit that doubles with each failure.
func backoff(failure int, part float64) time.Duration {
	limit := lastBackoff
	if failure < 9 { // 100 ms << 9 exceeds the largest limit
		limit = min(limit, firstBackoff<<failure)
	}
	return time.Duration(part * float64(limit))
}
