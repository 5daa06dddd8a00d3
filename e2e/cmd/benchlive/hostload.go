package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// hostLoad measures the share of the host's processors that other programs use.
type hostLoad struct {
	busy, all, own time.Duration // at the start
}

// startHostLoad starts a measurement.
func startHostLoad() (h hostLoad, err error) {
	h.busy, h.all, err = hostTime()
	h.own = ownTime()
	return h, err
}

// others is the share since the start, from 0 to 1. This program's children must have ended.
func (h hostLoad) others() (float64, error) {
	busy, all, err := hostTime()
	if err != nil || all == h.all {
		return 0, err
	}
	others := (busy - h.busy) - (ownTime() - h.own)
	return max(0, others.Seconds()/(all-h.all).Seconds()), nil
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

// ownTime is the processor time of this program and its children.
func ownTime() (sum time.Duration) {
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var use unix.Rusage
		if unix.Getrusage(who, &use) == nil {
			sum += time.Duration(use.Utime.Nano() + use.Stime.Nano())
		}
	}
	return sum
}
