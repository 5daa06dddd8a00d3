package nsthread

import (
	"container/heap"
	"time"

	"golang.org/x/sys/unix"
)

// Timer makes its thread call a function at a given time. It can be set any number of times. Its methods must be
// called on the thread.
type Timer struct {
	thread *Thread
	fn     func()
	at     time.Time
	index  int // in the thread's heap; -1: not set
}

// NewTimer returns a timer that is not set. It may be called from any goroutine.
func (t *Thread) NewTimer(fn func()) *Timer { return &Timer{thread: t, fn: fn, index: -1} }

// Set makes the thread call the function once, at this time or soon after. It replaces an earlier setting.
func (m *Timer) Set(at time.Time) {
	m.at = at
	if m.index >= 0 {
		heap.Fix(&m.thread.timers, m.index)
		return
	}
	heap.Push(&m.thread.timers, m)
}

// SetSooner is Set, unless the timer is already set to an earlier time.
func (m *Timer) SetSooner(at time.Time) {
	if m.index < 0 || at.Before(m.at) {
		m.Set(at)
	}
}

// IsSet reports whether the timer is set and has not fired.
func (m *Timer) IsSet() bool { return m.index >= 0 }

// Stop cancels the timer.
func (m *Timer) Stop() {
	if m.index >= 0 {
		heap.Remove(&m.thread.timers, m.index)
	}
}

// untilTimer returns how long epoll_wait may wait for the next timer, in milliseconds; -1: no timer is set.
func (t *Thread) untilTimer(now time.Time) int {
	if len(t.timers) == 0 {
		return -1
	}
	wait := max(t.timers[0].at.Sub(now), 0)
	return int((wait + time.Millisecond - 1) / time.Millisecond)
}

// farTimer returns when the next timer is due, and whether this is so far away that the clock fires it. It also
// sets the timerfd late, which wakes the thread if the clock does not fire the timer.
func (t *Thread) farTimer(now time.Time) (due time.Duration, far bool) {
	if len(t.timers) == 0 {
		return 0, false
	}
	due = t.timers[0].at.Sub(epoch)
	if t.timers[0].at.Sub(now) < near {
		return 0, false
	}
	if t.lateAt < due+grace/2 || t.lateAt > due+2*grace {
		t.lateAt = due + grace
		at := unix.NsecToTimespec(int64(t.timers[0].at.Sub(now) + grace))
		_ = unix.TimerfdSettime(t.late, 0, &unix.ItimerSpec{Value: at}, nil) // cannot fail for a valid time
	}
	return due, true
}

// fireTimers calls the functions of all due timers, and returns the time afterwards.
func (t *Thread) fireTimers(now time.Time) time.Time {
	for len(t.timers) > 0 && !t.timers[0].at.After(now) {
		first := t.timers[0]
		heap.Pop(&t.timers)
		t.safely(first.fn)
		now = time.Now()
	}
	return now
}

// timerHeap contains the timers that are set, the earliest first.
type timerHeap []*Timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }

func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *timerHeap) Push(x any) {
	m := x.(*Timer)
	m.index = len(*h)
	*h = append(*h, m)
}

func (h *timerHeap) Pop() any {
	old := *h
	m := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	m.index = -1
	return m
}
