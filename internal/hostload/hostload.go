// Package hostload measures how much of the host's processors other programs use, for tests and benchmarks in real time.
package hostload

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Measurement is one that has begun.
type Measurement struct {
	busy, all, own time.Duration // at the start
}

// Start starts a measurement.
func Start() (m Measurement, err error) {
	m.busy, m.all, err = hostTime()
	m.own = ownTime()
	return m, err
}

// Others returns the share of all processors' time that other programs have used since the start, from 0 to 1. A child of this
// program counts as one of them until this program has waited for its end, but for the time children, which the caller has measured.
func (m Measurement) Others(children time.Duration) (float64, error) {
	busy, all, err := hostTime()
	if err != nil || all == m.all {
		return 0, err
	}
	others := (busy - m.busy) - (ownTime() - m.own) - children
	return max(0, others.Seconds()/(all-m.all).Seconds()), nil
}

// hostTime is the time of all processors, from /proc/stat.
func hostTime() (busy, all time.Duration, err error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	var user, nice, system, idle, wait, irq, softirq, steal int64
	if _, err := fmt.Sscanf(line, "cpu %d %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &wait, &irq, &softirq, &steal); err != nil {
		return 0, 0, fmt.Errorf("/proc/stat: %w in %q", err, line)
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100
	busy = time.Duration(user+nice+system+irq+softirq+steal) * tick
	return busy, busy + time.Duration(idle+wait)*tick, nil
}

// ownTime is the processor time of this program and of its children that have ended.
func ownTime() (sum time.Duration) {
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var use unix.Rusage
		if unix.Getrusage(who, &use) == nil {
			sum += time.Duration(use.Utime.Nano() + use.Stime.Nano())
		}
	}
	return sum
}
