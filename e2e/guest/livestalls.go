package guest

import (
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// precise makes the calling goroutine's thread its own, and lets it wake up as exactly as the kernel can. The thread ends
// with the goroutine.
func precise() {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // 50 µs otherwise
}

// sleepUntil has the thread sleep. Go's own timers wake a thread up for another one.
func sleepUntil(at time.Time) {
	left := time.Until(at)
	if left <= 0 {
		return
	}
	ts := unix.NsecToTimespec(int64(left))
	_ = unix.Nanosleep(&ts, nil) // a signal may end it early, which does no harm here
}

// stallMeter measures how long the machine itself leaves a thread without a processor.
type stallMeter struct {
	quit  chan struct{}
	ended sync.WaitGroup
	late  []time.Duration // each time
	worst []stall         // those that matter, in their order
}

// stall is a time in which a thread should have woken up.
type stall struct {
	from time.Time
	took time.Duration
}

// stallNoted is from when on a stall is one that may be seen in other measurements.
const stallNoted = time.Millisecond

// startStallMeter starts one, which runs until stop.
func startStallMeter() *stallMeter {
	m := &stallMeter{quit: make(chan struct{})}
	m.ended.Go(func() {
		precise()
		for {
			select {
			case <-m.quit:
				return
			default:
			}
			due := time.Now().Add(time.Millisecond)
			sleepUntil(due)
			late := time.Since(due)
			m.late = append(m.late, late)
			if late >= stallNoted {
				m.worst = append(m.worst, stall{due, late})
			}
		}
	})
	return m
}

// stop ends it. Its measurements may be read from then on.
func (m *stallMeter) stop() LiveStalls {
	close(m.quit)
	m.ended.Wait()
	sorted := slices.Sorted(slices.Values(m.late))
	return LiveStalls{P50: quantile(sorted, 0.5), P99: quantile(sorted, 0.99), Longest: sorted[len(sorted)-1]}
}

// within is the longest stall that fell in a time.
func (m *stallMeter) within(from, to time.Time) (longest time.Duration) {
	first, _ := slices.BinarySearchFunc(m.worst, from, func(s stall, at time.Time) int { return s.from.Add(s.took).Compare(at) })
	for _, s := range m.worst[first:] {
		if s.from.After(to) {
			break
		}
		longest = max(longest, s.took)
	}
	return longest
}
