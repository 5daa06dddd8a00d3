package worker

import (
	"time"

	"joolctl/session"
)

const (
	// coalesceSlots is how many sessions are remembered at most, 48 bytes each, and only once sessions flow.
	coalesceSlots = 1 << 14
	// coalesceWays is how many slots a session can have. With one, a fifth of 3,600 sessions evict each other.
	coalesceWays = 4
	coalesceSets = coalesceSlots / coalesceWays
	// refreshEvery is how often refreshes are sent, those of several sessions together.
	refreshEvery = 100 * time.Millisecond
	// dueLists is more than the ticks of the longest period, 60 s.
	dueLists = 1 << 10
)

// coalescer decides when a reported session is sent. The module reports a session for every packet that it translates;
// sync traffic should follow connections instead. A new or changed session is sent at once. A refresh differs from the
// session's last sent state only in the time left: it is sent once per period, with others, at a tick. That is up to a
// tick before the period's end, or after it.
//
// Its table has sets of four slots. A session whose set is full evicts another one, which counts as new when it is
// reported again. It is pure: time comes from outside.
type coalescer struct {
	period time.Duration
	seed   uint64
	base   time.Time
	*coalesceTable
	now     tick   // the last tick before now
	ms      uint32 // now, in milliseconds since base, modulo 2^32
	flushed tick   // the lists of this tick and of those before are done
	due     tick   // the first tick whose list is not empty; 0: none
	listed  int    // slots that are in a list
	pending int    // slots that have a refresh
	evicted session.Record
}

// tick counts periods of refreshEvery since base; base is tick 1.
type tick uint32

type coalesceTable struct {
	sets [coalesceSets]set
	// lists has the slots to look at when a tick comes: those of tick t are in list t modulo dueLists.
	lists [dueLists]dueList
}

// dueList is a list of slots, linked by slot.after.
type dueList struct{ first, last place }

// place is a slot's number, from 1 on; 0 is no slot.
type place uint16

// set is the slots that a session can have, in one place: memory that is far apart costs more than the computing.
type set [coalesceWays]slot

// slot has what the coalescer remembers of a session, in 48 bytes.
type slot struct {
	record session.Record
	came   uint32 // when record came, as coalescer.ms
	sent   tick   // the last tick before the session was sent last; 0: the slot is not used
	after  place  // the next one in its list
	// listed says that the slot is in a list. It stays there until the list's tick, even if the slot gets another
	// session meanwhile.
	listed  bool
	pending bool // record is a refresh that is not sent yet
}

func newCoalescer(period time.Duration, seed uint64) *coalescer {
	return &coalescer{period: period, seed: seed}
}

// begin says that it is now. It comes before pass and flush.
func (c *coalescer) begin(now time.Time) {
	if c.coalesceTable == nil {
		if c.period <= 0 {
			return
		}
		c.coalesceTable, c.base, c.flushed, c.due, c.listed = new(coalesceTable), now, 0, 0, 0
	}
	at := now.Sub(c.base)
	c.now, c.ms = tick(at/refreshEvery)+1, uint32(at.Milliseconds())
}

// periods is the period in ticks.
func (c *coalescer) periods() tick { return tick((c.period + refreshEvery - 1) / refreshEvery) }

// pass takes a session that is reported now, and returns whether it is sent at once: otherwise it
// is a refresh, and comes from flush later. If the session evicts one with a refresh from its slot, that one is
// returned to be sent too; it is valid until the next call.
func (c *coalescer) pass(r *session.Record) (atOnce bool, evicted *session.Record) {
	if c.period <= 0 {
		return true, nil
	}
	n := r.Hash(c.seed) % coalesceSets
	set := &c.sets[n]
	for k := range set {
		s := &set[k]
		if !s.record.SamePort6(r) || s.sent == 0 {
			continue
		}
		if s.record.Same(r) {
			s.record, s.came = *r, c.ms
			if !s.pending {
				s.pending = true
				c.pending++
				if !s.listed {
					c.list(s, place(n)*coalesceWays+place(k)+1, max(s.sent+c.periods(), c.now+1))
				}
			}
			return false, nil
		}
		if s.record.SameSession(r) { // it has changed
			c.take(s, r)
			return true, nil
		}
	}
	s := set.leastNeeded()
	if s.pending {
		c.evicted, evicted = s.record, &c.evicted
		age(evicted, c.waited(s))
	}
	c.take(s, r)
	return true, evicted
}

// update corrects what is remembered of a session, so that its refresh has these times.
func (c *coalescer) update(r *session.Record) {
	if c.coalesceTable == nil {
		return
	}
	set := &c.sets[r.Hash(c.seed)%coalesceSets]
	for k := range set {
		if s := &set[k]; s.sent != 0 && s.record.SameSession(r) {
			s.record, s.came = *r, c.ms
		}
	}
}

// take gives the slot to a session that is sent now.
func (c *coalescer) take(s *slot, r *session.Record) {
	if s.pending {
		s.pending = false
		c.pending--
	}
	s.record, s.sent = *r, c.now
}

// leastNeeded is the slot that a new session is to have: an unused one, or that of the session that was sent
// the longest ago, of those without a refresh if there are any.
func (s *set) leastNeeded() *slot {
	least := &s[0]
	for k := 1; k < coalesceWays; k++ {
		if t := &s[k]; t.pending == least.pending && t.sent < least.sent || least.pending && !t.pending {
			least = t
		}
	}
	return least
}

// list has the slot looked at when the tick comes.
func (c *coalescer) list(s *slot, at place, due tick) {
	s.listed, s.after = true, 0
	c.listed++
	l := &c.lists[due%dueLists]
	if l.first == 0 {
		l.first = at
	} else {
		c.slot(l.last).after = at
	}
	l.last = at
	if c.due == 0 || due < c.due {
		c.due = due
	}
}

func (c *coalescer) slot(at place) *slot { return &c.sets[(at-1)/coalesceWays][(at-1)%coalesceWays] }

// flush hands over all refreshes that are due and returns when to call it again (zero: no need).
func (c *coalescer) flush(now time.Time, emit func(*session.Record)) time.Time {
	if c.coalesceTable == nil {
		return time.Time{}
	}
	c.begin(now)
	if c.now > c.flushed+dueLists {
		c.flushed = c.now - dueLists // each list is looked at once
	}
	for c.flushed < c.now {
		c.flushed++
		l := &c.lists[c.flushed%dueLists]
		at := l.first
		*l = dueList{}
		for at != 0 {
			s := c.slot(at)
			next := s.after
			c.look(s, at, emit)
			at = next
		}
	}
	c.due = 0
	for t := c.flushed + 1; c.listed > 0 && t <= c.flushed+dueLists; t++ {
		if c.lists[t%dueLists].first != 0 {
			c.due = t
			break
		}
	}
	return c.next()
}

// drain hands over all refreshes, due or not, and forgets all sessions.
func (c *coalescer) drain(now time.Time, emit func(*session.Record)) {
	if c.coalesceTable == nil {
		return
	}
	c.begin(now)
	for n := range c.sets {
		for k := range c.sets[n] {
			if s := &c.sets[n][k]; s.pending {
				age(&s.record, c.waited(s))
				emit(&s.record)
				c.pending--
			}
		}
	}
	c.free()
}

// look hands over the slot's refresh, if it has one whose session's period is over. A session that has the slot since
// it was listed can have a longer time to wait.
func (c *coalescer) look(s *slot, at place, emit func(*session.Record)) {
	s.listed = false
	c.listed--
	if !s.pending {
		return
	}
	if due := s.sent + c.periods(); due > c.now {
		c.list(s, at, due)
		return
	}
	age(&s.record, c.waited(s))
	emit(&s.record)
	s.pending, s.sent = false, c.now
	c.pending--
}

// next is when flush has something to do (zero: never).
func (c *coalescer) next() time.Time {
	if c.pending == 0 {
		return time.Time{}
	}
	return c.base.Add(time.Duration(c.due-1) * refreshEvery)
}

// idle reports whether no refresh waits; free releases the memory then.
func (c *coalescer) idle() bool { return c.pending == 0 }

func (c *coalescer) free() { c.coalesceTable = nil }

// waited is for how long a slot's refresh has waited.
func (c *coalescer) waited(s *slot) time.Duration {
	return time.Duration(c.ms-s.came) * time.Millisecond
}

// age takes the time that has passed from a session's time left.
func age(r *session.Record, by time.Duration) {
	ms := uint32(max(by.Milliseconds(), 0))
	r.SetExpires(r.Expires() - min(ms, r.Expires()))
}
