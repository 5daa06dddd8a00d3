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
	// coalesceWays is how many slots a session can have. With one, a fifth of 3,600 sessions evict each other.
	coalesceWays = 4
	// refreshEvery is how long refreshes wait at most for others that fill their datagram.
	refreshEvery = 100 * time.Millisecond
)

// coalescer decides when a reported session is sent. The module reports a session for every packet that it translates;
// sync traffic should follow connections instead. A new or changed session is sent at once. A refresh differs from the
// session's last sent state only in the time left: it is sent once per period, at the period's end, in a datagram with
// other refreshes or with sessions that are sent at once.
//
// Its table has sets of four slots. A session whose set is full evicts another one, which counts as new when it is
// reported again. It is pure: time comes from outside.
type coalescer struct {
	period time.Duration
	seed   uint64
	base   time.Time // moments are kept as the time since then
	slots  *[coalesceSlots + 2]slot
	// ready is how many slots the list ripe has, and pending how many have a refresh.
	ready, pending int
	evicted        joolnl.Record // the session that pass returned last
}

// place is a slot's number. The last two slots are the lists: each is the one before its first and behind its last.
type place uint16

const (
	// young are the sessions that were sent less than a period ago, in that order.
	young place = coalesceSlots + iota
	// ripe are those with a refresh that were sent before that. Other slots in use are in no list.
	ripe
)

type slot struct {
	record        joolnl.Record
	used          bool
	pending       bool          // record is a refresh that is not sent yet
	in            place         // young, ripe, or 0: in no list
	before, after place         // its neighbours in that list
	sent          time.Duration // when it was sent last
	came          time.Duration // when record came
}

func newCoalescer(period time.Duration) *coalescer {
	return &coalescer{period: period, seed: rand.Uint64()}
}

// begin returns the moment at which sessions are passed now.
func (c *coalescer) begin(now time.Time) time.Duration {
	if c.slots == nil {
		if c.period <= 0 {
			return 0
		}
		c.slots, c.base = new([coalesceSlots + 2]slot), now
		for _, list := range []place{young, ripe} {
			c.slots[list].before, c.slots[list].after = list, list
		}
	}
	at := now.Sub(c.base)
	c.ripen(at)
	return at
}

// pass takes a session that was reported at a moment (see begin), and returns whether it is sent at once: otherwise it
// is a refresh, and comes from take or flush later. If the session evicts one with a refresh from its slot, that one is
// returned to be sent too; it is valid until the next call.
func (c *coalescer) pass(r *joolnl.Record, at time.Duration) (atOnce bool, evicted *joolnl.Record) {
	if c.period <= 0 {
		return true, nil
	}
	i, known := c.find(r)
	s := &c.slots[i]
	if known && s.record.Same(r) {
		s.record, s.came = *r, at
		if !s.pending {
			s.pending = true
			c.pending++
		}
		if s.in == 0 {
			c.ready++
			c.link(ripe, i)
		}
		return false, nil
	}
	if s.pending {
		if !known {
			c.evicted, evicted = s.record, &c.evicted
			age(evicted, at-s.came)
		}
		c.pending--
		if s.in == ripe {
			c.ready--
		}
	}
	if s.in != 0 {
		c.unlink(s)
	}
	s.record, s.used, s.pending, s.sent, s.came = *r, true, false, at, at
	c.link(young, i)
	return true, evicted
}

// find returns the session's slot, or else the one of its set that the session is to have: an unused one, or that of the
// session that was sent the longest ago, of those without a refresh if there are any.
func (c *coalescer) find(r *joolnl.Record) (i place, known bool) {
	first := place(r.Hash(c.seed) % coalesceSlots / coalesceWays * coalesceWays)
	i = first
	for k := first; k < first+coalesceWays; k++ {
		s := &c.slots[k]
		if !s.used {
			return k, false // none behind it is used
		}
		if s.record.SameSession(r) {
			return k, true
		}
		if v := &c.slots[i]; s.pending == v.pending && s.sent < v.sent || v.pending && !s.pending {
			i = k
		}
	}
	return i, false
}

// link puts a slot, which is in no list, at the end of one.
func (c *coalescer) link(list, i place) {
	s, l := &c.slots[i], &c.slots[list]
	s.in, s.before, s.after = list, l.before, list
	c.slots[l.before].after = i
	l.before = i
}

// unlink takes a slot out of its list.
func (c *coalescer) unlink(s *slot) {
	c.slots[s.before].after, c.slots[s.after].before = s.after, s.before
	s.in = 0
}

// take hands over the n refreshes that have waited longest, of those that are ready.
func (c *coalescer) take(n int, at time.Duration, emit func(*joolnl.Record)) {
	for range n {
		i := c.slots[ripe].after
		s := &c.slots[i]
		age(&s.record, at-s.came)
		emit(&s.record)
		s.pending, s.sent, s.came = false, at, at
		c.pending--
		c.ready--
		c.unlink(s)
		c.link(young, i)
	}
}

// flush hands over all refreshes whose period is over and returns when to call it again (zero: no need).
func (c *coalescer) flush(now time.Time, emit func(*joolnl.Record)) time.Time {
	if c.slots == nil {
		return time.Time{}
	}
	at := now.Sub(c.base)
	c.ripen(at)
	c.take(c.ready, at, emit)
	return c.next(at)
}

// ripen looks for sessions whose period is over.
func (c *coalescer) ripen(at time.Duration) {
	for {
		i := c.slots[young].after
		s := &c.slots[i]
		if i == young || at-s.sent < c.period {
			return
		}
		c.unlink(s)
		if s.pending {
			c.ready++
			c.link(ripe, i)
		}
	}
}

// next is when flush has something to do (zero: never). That is at most once per refreshEvery, since a wake-up costs
// more than the work.
func (c *coalescer) next(at time.Duration) time.Time {
	if c.pending == 0 {
		return time.Time{}
	}
	if c.ready == 0 {
		at = c.slots[c.slots[young].after].sent + c.period
	}
	return c.base.Add((at + refreshEvery - 1) / refreshEvery * refreshEvery)
}

// idle reports whether no refresh waits; free releases the memory then.
func (c *coalescer) idle() bool { return c.pending == 0 }

func (c *coalescer) free() { c.slots = nil }

// age takes the time that has passed from a session's time left.
func age(r *joolnl.Record, by time.Duration) {
	ms := uint32(max(by.Milliseconds(), 0))
	r.SetExpires(r.Expires() - min(ms, r.Expires()))
}
