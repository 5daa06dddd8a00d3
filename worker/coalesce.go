package worker

import (
	"math/rand/v2"
	"time"

	"joolctl/joolnl"
)

const (
	// coalesceSlots is how many sessions are remembered at most, a power of two:
	// 64 bytes each, 1 MiB, and only once sessions flow.
	coalesceSlots = 1 << 14
	// refreshEvery is how long refreshes wait at most for others that fill their datagram.
	refreshEvery = 100 * time.Millisecond
)

// coalescer decides when a reported session is sent. The module reports a session for every packet that it translates;
// sync traffic should follow connections instead. So a new or changed session is sent at once. One that differs from
// what was sent only in the time left is a refresh: it is sent once per period, at the period's end, in a datagram with
// other refreshes, or in one that leaves anyway.
//
// It is a table without chains: a session evicts another one from its slot, and the evicted one counts as new when it
// is reported again. It is pure: time comes from outside.
type coalescer struct {
	period time.Duration
	seed   uint64
	base   time.Time // moments are kept as the time since then
	slots  []slot
	// young are the sessions that were sent less than a period ago, in that order. ripe are those with a refresh that were
	// sent before that. Other slots in use are in no list.
	young, ripe slotList
	pending     int           // slots with a refresh
	evicted     joolnl.Record // what pass has returned
}

// place is a slot's number and one; 0 is none.
type place uint16

type slot struct {
	record        joolnl.Record
	used          bool
	pending       bool // record is newer than what was sent
	in            *slotList
	before, after place         // its neighbours in that list
	sent          time.Duration // when it was sent last
	came          time.Duration // when record came
}

// slotList is a list of slots.
type slotList struct {
	first, last place
	n           int
}

func newCoalescer(period time.Duration) *coalescer {
	return &coalescer{period: period, seed: rand.Uint64()}
}

// pass takes a session that was just reported, and returns whether it is sent at once: otherwise it is a refresh, and
// comes from take or flush later. If the session evicts one with a refresh from its slot, that one is returned to be
// sent too; it is valid until the next call.
func (c *coalescer) pass(r *joolnl.Record, now time.Time) (atOnce bool, evicted *joolnl.Record) {
	if c.period <= 0 {
		return true, nil
	}
	if c.slots == nil {
		c.slots, c.base = make([]slot, coalesceSlots), now
	}
	c.ripen(now)
	at := now.Sub(c.base)
	i := place(r.Hash(c.seed)&(coalesceSlots-1)) + 1
	s := &c.slots[i-1]
	if s.used && s.record.Same(r) {
		s.record, s.came = *r, at
		if !s.pending {
			s.pending = true
			c.pending++
		}
		if s.in == nil {
			c.link(&c.ripe, i)
		}
		return false, nil
	}
	if s.pending {
		if s.record.Key() != r.Key() {
			c.evicted, evicted = s.record, &c.evicted
			age(evicted, at-s.came)
		}
		c.pending--
	}
	s.record, s.used, s.pending, s.came = *r, true, false, at
	c.hasSent(i, at)
	return true, evicted
}

// hasSent notes that a slot's session is sent now.
func (c *coalescer) hasSent(i place, at time.Duration) {
	c.unlink(i)
	c.slots[i-1].sent = at
	c.link(&c.young, i)
}

// link puts a slot, which is in no list, at the end of one.
func (c *coalescer) link(l *slotList, i place) {
	s := &c.slots[i-1]
	s.in, s.before, s.after = l, l.last, 0
	if l.last != 0 {
		c.slots[l.last-1].after = i
	} else {
		l.first = i
	}
	l.last = i
	l.n++
}

// unlink takes a slot out of its list.
func (c *coalescer) unlink(i place) {
	s := &c.slots[i-1]
	l := s.in
	if l == nil {
		return
	}
	if s.before != 0 {
		c.slots[s.before-1].after = s.after
	} else {
		l.first = s.after
	}
	if s.after != 0 {
		c.slots[s.after-1].before = s.before
	} else {
		l.last = s.before
	}
	s.in = nil
	l.n--
}

// ready is how many refreshes take has.
func (c *coalescer) ready() int { return c.ripe.n }

// take hands over the n refreshes that have waited longest, of ready.
func (c *coalescer) take(n int, now time.Time, emit func(*joolnl.Record)) {
	at := now.Sub(c.base)
	for range n {
		i := c.ripe.first
		s := &c.slots[i-1]
		age(&s.record, at-s.came)
		emit(&s.record)
		s.pending, s.came = false, at
		c.pending--
		c.hasSent(i, at)
	}
}

// flush hands over all refreshes whose period is over and returns when to call it again (zero: no need).
func (c *coalescer) flush(now time.Time, emit func(*joolnl.Record)) time.Time {
	c.ripen(now)
	c.take(c.ready(), now, emit)
	return c.next(now)
}

// ripen looks for sessions whose period is over.
func (c *coalescer) ripen(now time.Time) {
	at := now.Sub(c.base)
	for c.young.first != 0 {
		i := c.young.first
		s := &c.slots[i-1]
		if at-s.sent < c.period {
			return
		}
		c.unlink(i)
		if s.pending {
			c.link(&c.ripe, i)
		}
	}
}

// next is when flush has something to do (zero: never). That is at most once per refreshEvery, since a wake-up costs
// more than the work.
func (c *coalescer) next(now time.Time) time.Time {
	if c.pending == 0 {
		return time.Time{}
	}
	due := now.Sub(c.base)
	if c.ripe.n == 0 {
		due = c.slots[c.young.first-1].sent + c.period
	}
	return c.base.Add((due + refreshEvery - 1) / refreshEvery * refreshEvery)
}

// idle reports whether no refresh waits; free releases the memory then.
func (c *coalescer) idle() bool { return c.pending == 0 }

func (c *coalescer) free() { c.slots, c.young, c.ripe = nil, slotList{}, slotList{} }

// age takes the time that has passed from a session's time left.
func age(r *joolnl.Record, by time.Duration) {
	ms := uint32(max(by.Milliseconds(), 0))
	r.SetExpires(r.Expires() - min(ms, r.Expires()))
}
