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
	// oldest and newest are the ends of a list of the slots in use, in the order
	// in which they were passed on and are due.
	oldest, newest place
	evicted        joolnl.Record // what pass has returned
}

// place is a slot's number and one; 0 is none.
type place uint16

type slot struct {
	record        joolnl.Record
	used          bool
	pending       bool          // record is newer than what was passed on
	before, after place         // its neighbours in the list
	passed        time.Duration // when it was passed on last
	came          time.Duration // when record came
}

func newCoalescer(period time.Duration) *coalescer {
	return &coalescer{period: period, seed: rand.Uint64()}
}

// pass says whether a session goes on at once. If another one has to leave its
// slot and owes a report, that is returned to go on too; it is valid until the
// next call.
func (c *coalescer) pass(r *joolnl.Record, now time.Time) (atOnce bool, owed *joolnl.Record) {
	if c.period <= 0 {
		return true, nil
	}
	if c.slots == nil {
		c.slots, c.base = make([]slot, coalesceSlots), now
	}
	at := now.Sub(c.base)
	i := place(r.Hash(c.seed)&(coalesceSlots-1)) + 1
	s := &c.slots[i-1]
	if s.used {
		if s.record.Same(r) && at-s.passed < c.period {
			s.record, s.came, s.pending = *r, at, true
			return false, nil
		}
		if s.pending && s.record.Key() != r.Key() {
			c.evicted, owed = s.record, &c.evicted
			age(owed, at-s.came)
		}
		c.unlink(s)
	}
	s.record, s.used, s.pending, s.came = *r, true, false, at
	c.link(i, at)
	return true, owed
}

// link puts a slot at the list's end: it has been passed on.
func (c *coalescer) link(i place, at time.Duration) {
	s := &c.slots[i-1]
	s.passed, s.before, s.after = at, c.newest, 0
	if c.newest != 0 {
		c.slots[c.newest-1].after = i
	} else {
		c.oldest = i
	}
	c.newest = i
}

// unlink takes a slot out of the list.
func (c *coalescer) unlink(s *slot) {
	if s.before != 0 {
		c.slots[s.before-1].after = s.after
	} else {
		c.oldest = s.after
	}
	if s.after != 0 {
		c.slots[s.after-1].before = s.before
	} else {
		c.newest = s.before
	}
}

// flush hands over what its period's end has come for and returns when to come
// again (zero: no need).
func (c *coalescer) flush(now time.Time, emit func(*joolnl.Record)) time.Time {
	at := now.Sub(c.base)
	for c.oldest != 0 {
		i := c.oldest
		s := &c.slots[i-1]
		if at-s.passed < c.period {
			break
		}
		c.unlink(s)
		if !s.pending {
			s.used = false
			continue
		}
		age(&s.record, at-s.came)
		emit(&s.record)
		s.pending, s.came = false, at
		c.link(i, at)
	}
	return c.next()
}

// next is when flush has something to do (zero: never): at moments so far apart
// that it has much to do each time, since waking up is what costs.
func (c *coalescer) next() time.Time {
	if c.idle() {
		return time.Time{}
	}
	due := c.slots[c.oldest-1].passed + c.period
	return c.base.Add((due + coalesceTick - 1) / coalesceTick * coalesceTick)
}

// idle reports whether nothing is remembered; free lets go of the memory then.
func (c *coalescer) idle() bool { return c.oldest == 0 }

func (c *coalescer) free() { c.slots = nil }

// age takes the time that has passed from a session's time left.
func age(r *joolnl.Record, by time.Duration) {
	ms := uint32(max(by.Milliseconds(), 0))
	r.SetExpires(r.Expires() - min(ms, r.Expires()))
}
