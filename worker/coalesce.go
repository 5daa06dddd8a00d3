package worker

import (
	"math/rand/v2"
	"time"

	"joolctl/joolnl"
)

const (
	// coalesceSlots is how many sessions are remembered at most, a power of two:
	// 56 bytes each, less than 1 MiB, and only once sessions flow.
	coalesceSlots = 1 << 14
	// coalesceQueue bounds the queue, at 16 bytes each. What comes on top is
	// passed on and not remembered.
	coalesceQueue = 4 * coalesceSlots
	// coalesceTick is by how much a period may be longer at most.
	coalesceTick = 50 * time.Millisecond
)

// coalescer passes on what is new at once, and what has changed nothing but the
// time left once per period, at its end. The kernel reports a session for every
// packet; sync traffic is to follow connections instead.
//
// It is a table without chains: sessions that fall into one slot throw each
// other out, and are then passed on more often than they need to be, never
// less. It is pure: time comes from outside.
type coalescer struct {
	period time.Duration
	seed   uint64
	base   time.Time // moments are kept as the time since then
	slots  []slot
	// queue has the slots in the order in which they are due.
	queue []due
	first int // of the queue that is in use
}

type slot struct {
	record  joolnl.Record
	used    bool
	pending bool          // record is newer than what was passed on
	passed  time.Duration // when it was passed on last
	came    time.Duration // when record came
}

type due struct {
	slot   uint32
	passed time.Duration
}

func newCoalescer(period time.Duration) *coalescer {
	return &coalescer{period: period, seed: rand.Uint64()}
}

// pass says whether a session goes on at once. If another one has to leave its
// slot and owes a report, that is returned to go on too.
func (c *coalescer) pass(r *joolnl.Record, now time.Time) (atOnce bool, evicted joolnl.Record, owed bool) {
	if c.period <= 0 {
		return true, evicted, false
	}
	if c.slots == nil {
		c.slots, c.base = make([]slot, coalesceSlots), now
	}
	at := now.Sub(c.base)
	i := uint32(r.Hash(c.seed) & (coalesceSlots - 1))
	s := &c.slots[i]
	if s.used && s.record.Same(r) && at-s.passed < c.period {
		s.record, s.came, s.pending = *r, at, true
		return false, evicted, false
	}
	if s.used && s.pending && s.record.Key() != r.Key() {
		evicted, owed = s.record, true
		age(&evicted, at-s.came)
	}
	if len(c.queue)-c.first >= coalesceQueue {
		s.used = false
		return true, evicted, owed
	}
	s.record, s.used, s.pending, s.passed, s.came = *r, true, false, at, at
	c.queue = append(c.queue, due{i, at})
	return true, evicted, owed
}

// flush hands over what its period's end has come for and returns when to come
// again (zero: no need).
func (c *coalescer) flush(now time.Time, emit func(*joolnl.Record)) time.Time {
	at := now.Sub(c.base)
	for c.first < len(c.queue) {
		d := c.queue[c.first]
		if at-d.passed < c.period {
			c.compact()
			return c.next()
		}
		c.first++
		s := &c.slots[d.slot]
		if !s.used || s.passed != d.passed {
			continue // passed on again since, or thrown out
		}
		if !s.pending {
			s.used = false
			continue
		}
		age(&s.record, at-s.came)
		emit(&s.record)
		s.pending, s.passed, s.came = false, at, at
		c.queue = append(c.queue, due{d.slot, at})
	}
	c.queue, c.first = c.queue[:0], 0
	return time.Time{}
}

// next is when flush has something to do (zero: never): at moments so far apart
// that it has much to do each time, since waking up is what costs.
func (c *coalescer) next() time.Time {
	if c.first == len(c.queue) {
		return time.Time{}
	}
	due := c.queue[c.first].passed + c.period
	return c.base.Add((due + coalesceTick - 1) / coalesceTick * coalesceTick)
}

// compact makes room in front, once half of the queue is used up.
func (c *coalescer) compact() {
	if c.first > len(c.queue)/2 {
		n := copy(c.queue, c.queue[c.first:])
		c.queue, c.first = c.queue[:n], 0
	}
}

// idle reports whether nothing is remembered; free lets go of the memory then.
func (c *coalescer) idle() bool { return c.first == len(c.queue) }

func (c *coalescer) free() { c.slots, c.queue, c.first = nil, nil, 0 }

// age takes the time that has passed from a session's time left.
func age(r *joolnl.Record, by time.Duration) {
	ms := uint32(max(by.Milliseconds(), 0))
	r.SetExpires(r.Expires() - min(ms, r.Expires()))
}
