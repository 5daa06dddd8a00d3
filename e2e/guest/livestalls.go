package guest

import (
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// precise gives the calling goroutine a thread of its own, with the least timer slack. The thread ends with the goroutine.
func precise() {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // the default is 50 µs
}

// sleepUntil makes the thread sleep. Go's timers would wake another thread first.
func sleepUntil(at time.Time) {
	left := time.Until(at)
	if left <= 0 {
		return
	}
	ts := unix.NsecToTimespec(int64(left))
	_ = unix.Nanosleep(&ts, nil) // a signal may end the sleep early, which is harmless
}

// stallMeter measures stalls: a thread sleeps for a millisecond, again and again, and wakes up late.
type stallMeter struct {
	quit  chan struct{}
	ended sync.WaitGroup
	late  []time.Duration
	worst []stall // of stallNoted and more, the earliest first
}

// stall begins when the thread should have woken up.
type stall struct {
	from time.Time
	took time.Duration
}

// stallNoted is the shortest stall that can show in a latency.
const stallNoted = time.Millisecond

// startStallMeter starts a meter.
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

// stop stops the meter and returns its measurements.
func (m *stallMeter) stop() LiveStalls {
	close(m.quit)
	m.ended.Wait()
	sorted := slices.Sorted(slices.Values(m.late))
	return LiveStalls{P50: quantile(sorted, 0.5), P99: quantile(sorted, 0.99), Longest: sorted[len(sorted)-1]}
}

// within is the longest stall that overlaps with a time. The meter must be stopped.
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
