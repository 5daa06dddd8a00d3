package sim

import (
	"container/heap"
	"time"
)

// Epoch is the virtual time at which every simulation starts.
var Epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// Clock is virtual time: it jumps from event to event.
type Clock struct {
	now     time.Time
	queue   eventHeap
	ordinal uint64
}

// NewClock returns a Clock that shows Epoch.
func NewClock() *Clock { return &Clock{now: Epoch} }

// Now returns the virtual time.
func (c *Clock) Now() time.Time { return c.now }

// Elapsed returns the virtual time since Epoch.
func (c *Clock) Elapsed() time.Duration { return c.now.Sub(Epoch) }

// At schedules fn. Events of one moment run in the order in which they were scheduled. A moment in the past counts as
// the present.
func (c *Clock) At(at time.Time, fn func()) *Event {
	if at.Before(c.now) {
		at = c.now
	}
	c.ordinal++
	e := &Event{at: at, ordinal: c.ordinal, fn: fn, index: -1, clock: c}
	heap.Push(&c.queue, e)
	return e
}

// After schedules fn for the moment after d.
func (c *Clock) After(d time.Duration, fn func()) *Event { return c.At(c.now.Add(d), fn) }

// Run runs all events up to and including a moment, which then is the present.
func (c *Clock) Run(until time.Time) {
	for len(c.queue) > 0 && !c.queue[0].at.After(until) {
		e := heap.Pop(&c.queue).(*Event)
		c.now = e.at
		e.fn()
	}
	if c.now.Before(until) {
		c.now = until
	}
}

// Event is a scheduled call.
type Event struct {
	at      time.Time
	ordinal uint64
	fn      func()
	index   int // in the queue; -1: not queued
	clock   *Clock
}

// Cancel removes the event from the queue. A nil event or one that has run needs no cancelling.
func (e *Event) Cancel() {
	if e != nil && e.index >= 0 {
		heap.Remove(&e.clock.queue, e.index)
	}
}

// Pending reports whether the event is still to run.
func (e *Event) Pending() bool { return e != nil && e.index >= 0 }

type eventHeap []*Event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	if c := h[i].at.Compare(h[j].at); c != 0 {
		return c < 0
	}
	return h[i].ordinal < h[j].ordinal
}
func (h eventHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *eventHeap) Push(x any) {
	e := x.(*Event)
	e.index = len(*h)
	*h = append(*h, e)
}
func (h *eventHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	e.index = -1
	return e
}
