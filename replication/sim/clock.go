package sim

import "time"

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
	e := &Event{at: at.Sub(Epoch), ordinal: c.ordinal, fn: fn, index: -1, clock: c}
	c.queue.push(e)
	return e
}

// After schedules fn for the moment after d.
func (c *Clock) After(d time.Duration, fn func()) *Event { return c.At(c.now.Add(d), fn) }

// Run runs all events up to and including a moment, which then is the present.
func (c *Clock) Run(until time.Time) {
	for len(c.queue) > 0 && c.queue[0].at <= until.Sub(Epoch) {
		e := c.queue[0]
		c.queue.remove(0)
		c.now = Epoch.Add(e.at)
		e.fn()
	}
	if c.now.Before(until) {
		c.now = until
	}
}

// Event is a scheduled call.
type Event struct {
	at      time.Duration // since Epoch
	ordinal uint64
	fn      func()
	index   int // in the queue; -1: not queued
	clock   *Clock
}

// Cancel removes the event from the queue. A nil event or one that has run needs no cancelling.
func (e *Event) Cancel() {
	if e != nil && e.index >= 0 {
		e.clock.queue.remove(e.index)
	}
}

// Pending reports whether the event is still to run.
func (e *Event) Pending() bool { return e != nil && e.index >= 0 }

// eventHeap is a binary heap of events. Package container/heap would call each of these functions through an interface,
// which takes a good part of a simulation's time.
type eventHeap []*Event

func (e *Event) before(o *Event) bool {
	return e.at < o.at || e.at == o.at && e.ordinal < o.ordinal
}

func (h *eventHeap) push(e *Event) {
	*h = append(*h, e)
	h.up(len(*h)-1, e)
}

// remove removes the event at an index.
func (h *eventHeap) remove(i int) {
	old := *h
	n := len(old) - 1
	last := old[n]
	old[i].index = -1
	old[n] = nil
	*h = old[:n]
	if i == n {
		return
	}
	if i > 0 && last.before(old[(i-1)/2]) {
		h.up(i, last)
	} else {
		h.down(i, last)
	}
}

// up places an event at index i or above.
func (h *eventHeap) up(i int, e *Event) {
	q := *h
	for i > 0 {
		parent := (i - 1) / 2
		if !e.before(q[parent]) {
			break
		}
		q[i] = q[parent]
		q[i].index = i
		i = parent
	}
	q[i], e.index = e, i
}

// down places an event at index i or below.
func (h *eventHeap) down(i int, e *Event) {
	q := *h
	for {
		child := 2*i + 1
		if child >= len(q) {
			break
		}
		if child+1 < len(q) && q[child+1].before(q[child]) {
			child++
		}
		if !q[child].before(e) {
			break
		}
		q[i] = q[child]
		q[i].index = i
		i = child
	}
	q[i], e.index = e, i
}
