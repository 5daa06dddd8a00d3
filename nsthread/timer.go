package nsthread

import (
	"container/heap"
	"time"

	"golang.org/x/sys/unix"
)

// Timer has its thread call a function at a moment that is set, and set again,
// as often as one likes. Its methods are to be called on the thread.
type Timer struct {
	thread *Thread
	fn     func()
	at     time.Time
	index  int // in the thread's heap; -1: not set
}

// NewTimer makes a timer that is not set. It may be called from anywhere.
func (t *Thread) NewTimer(fn func()) *Timer { return &Timer{thread: t, fn: fn, index: -1} }

// Set has the function called once at, or soon after, that moment, instead of
// any that was set before.
func (m *Timer) Set(at time.Time) {
	m.at = at
	if m.index >= 0 {
		heap.Fix(&m.thread.timers, m.index)
		return
	}
	heap.Push(&m.thread.timers, m)
}

// SetSooner is Set unless the timer is set for an earlier moment already.
func (m *Timer) SetSooner(at time.Time) {
	if m.index < 0 || at.Before(m.at) {
		m.Set(at)
	}
}

// IsSet reports whether the function is still to be called.
func (m *Timer) IsSet() bool { return m.index >= 0 }

// Stop takes the timer back.
func (m *Timer) Stop() {
	if m.index >= 0 {
		heap.Remove(&m.thread.timers, m.index)
	}
}

// untilTimer is how long epoll may wait for the next timer, in milliseconds; -1:
// for ever.
func (t *Thread) untilTimer(now time.Time) int {
	if len(t.timers) == 0 {
		return -1
	}
	wait := max(t.timers[0].at.Sub(now), 0)
	return int((wait + time.Millisecond - 1) / time.Millisecond)
}

// farTimer is when the next timer is due, if that is so far away that the clock is to
// fire it. The thread will see to it if the clock does not.
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
		_ = unix.TimerfdSettime(t.late, 0, &unix.ItimerSpec{Value: at}, nil) // it fails for no valid time
	}
	return due, true
}

// fireTimers calls what is due, and returns the time after that.
func (t *Thread) fireTimers(now time.Time) time.Time {
	for len(t.timers) > 0 && !t.timers[0].at.After(now) {
		first := t.timers[0]
		heap.Pop(&t.timers)
		t.safely(first.fn)
		now = time.Now()
	}
	return now
}

// timerHeap has the timers that are set, the next to fire first.
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
