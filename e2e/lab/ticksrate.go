package lab

import (
	"sync"
	"time"
)

// hostTicksRate is the rate of ticks, in kHz, measured once.
var hostTicksRate = sync.OnceValue(func() int64 {
	const interval = 100 * time.Millisecond
	start, from := readTicks()
	time.Sleep(interval)
	end, to := readTicks()
	return int64(float64(to-from) / end.Sub(start).Seconds() / 1000)
})

// readTicks reads clock and counter at one moment: of several readings, the one that took the shortest time.
func readTicks() (now time.Time, count uint64) {
	best := time.Hour
	for range 20 {
		before := time.Now()
		c := ticks()
		if took := time.Since(before); took < best {
			best, now, count = took, before, c
		}
	}
	return now, count
}
