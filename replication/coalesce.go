package replication

import (
	"math/bits"
	"time"

	"joolctl/session"
)

const (
	// coalesceSlots bounds how many sessions are remembered, in 52 bytes each, once sessions are reported.
	coalesceSlots = 1 << 14
	// coalesceWays is the size of a set of slots. With one slot each, a fifth of 3,600 sessions evict each other.
	coalesceWays = 4
	coalesceSets = coalesceSlots / coalesceWays
	// refreshEvery is how often refreshes are sent, those of several sessions together.
	refreshEvery = 100 * time.Millisecond
	// dueLists is more than the ticks of the longest period, 60 s.
	dueLists = 1 << 10
)

// Coalescer decides when a reported session is sent. The module reports a session for every packet that it translates;
// sync traffic should follow connections instead. A new or changed session is sent at once. A refresh differs from the
// session's last sent state only in the time left: it is sent once per period, with others, at a tick. That is up to a
// tick before the period's end, or after it.
//
// The table has sets of four slots, and each session belongs to one set. A session whose set is full evicts another one,
// which counts as new when it is reported again.
type Coalescer struct {
	period time.Duration
	seed   uint64
	base   time.Time
	*coalesceTable
	now     tick   // the last tick before the current time
	ms      uint32 // the current time, in milliseconds since base, modulo 2^32
	flushed tick   // the lists up to this tick were flushed
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

// place is the number of a slot, from 1 on; 0 is none.
type place uint16

// set has the slots that a session can have side by side, because each access to distant memory costs more than a search.
type set struct {
	// tags has 16 bits of the hash of each slot's session, slot 0 in the lowest. One comparison tells that a session is new.
	tags  uint64
	hand  uint64 // whose turn it is: the number of the slot, modulo coalesceWays
	slots [coalesceWays]slot
}

const (
	tagBits  = 64 / coalesceWays
	eachTag  = 1<<(3*tagBits) | 1<<(2*tagBits) | 1<<tagBits | 1
	topOfTag = eachTag << (tagBits - 1)
)

// tagOf returns the tag of a session with this hash, in each place. The set follows from other bits.
func tagOf(hash uint64) uint64 { return hash >> (64 - tagBits) * eachTag }

// find returns a bit of each slot whose tag may be the given one: every slot that has it, and rarely another one.
func (s *set) find(tag uint64) uint64 {
	x := s.tags ^ tag
	return (x - eachTag) &^ x & topOfTag // a place that is zero borrows, and so has its top bit set
}

// slotOf returns the number of the slot to which the lowest bit of find belongs.
func slotOf(found uint64) int { return bits.TrailingZeros64(found) / tagBits }

// choose returns the slot for a new session, and gives it the tag: the next one in turn that has no refresh, or else the one whose
// session was sent the longest ago.
func (s *set) choose(tag uint64) *slot {
	k := s.hand % coalesceWays
	if s.slots[k].pending {
		k = s.leastNeeded()
	}
	s.hand = k + 1
	place := uint64(1<<tagBits-1) << (k * tagBits)
	s.tags = s.tags&^place | tag&place
	return &s.slots[k]
}

// slot remembers a session, in 48 bytes.
type slot struct {
	record session.Record
	came   uint32 // when record was reported, as Coalescer.ms
	sent   tick   // the last tick before the session was sent last; 0: the slot is not used
	after  place  // the next one in its list
	// listed is true if the slot is in a list. The slot stays there until the list's tick, even if it gets another session
	// meanwhile.
	listed  bool
	pending bool // record is a refresh that is not sent yet
}

// NewCoalescer returns a Coalescer that sends refreshes once per period; 0: each report is sent at once. seed must be
// random (see session.Record.Hash).
func NewCoalescer(period time.Duration, seed uint64) *Coalescer {
	return &Coalescer{period: period, seed: seed}
}

// Period returns the time between two refreshes of a session.
func (c *Coalescer) Period() time.Duration { return c.period }

// SetPeriod changes the period. Refreshes that wait are still sent when they would have been. Before the period becomes 0,
// Drain must be called.
func (c *Coalescer) SetPeriod(period time.Duration) { c.period = period }

// Begin sets the current time. It must be called before Report and Update.
func (c *Coalescer) Begin(now time.Time) {
	if c.coalesceTable == nil {
		if c.period <= 0 {
			return
		}
		c.coalesceTable, c.base, c.flushed, c.due, c.listed = new(coalesceTable), now, 0, 0, 0
	}
	at := now.Sub(c.base)
	c.now, c.ms = tick(at/refreshEvery)+1, uint32(at.Milliseconds())
}

// periods returns the period in ticks.
func (c *Coalescer) periods() tick { return tick((c.period + refreshEvery - 1) / refreshEvery) }

// Report takes a session that the module reports, and returns whether to send it at once; if not, it is a refresh, which
// Flush emits later. evicted is a refresh to send as well, because its session had to give up its slot; it is valid until
// the next call.
func (c *Coalescer) Report(r *session.Record) (atOnce bool, evicted *session.Record) {
	if c.period <= 0 {
		return true, nil
	}
	hash := r.Hash(c.seed)
	n, tag := hash%coalesceSets, tagOf(hash)
	set := &c.sets[n]
	for found := set.find(tag); found != 0; found &= found - 1 {
		k := slotOf(found)
		s := &set.slots[k]
		if s.sent == 0 {
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
		if s.record.SameSession(r) { // its state, timer or mask has changed
			c.take(s, r)
			return true, nil
		}
	}
	s := set.choose(tag)
	if s.pending {
		c.evicted, evicted = s.record, &c.evicted
		evicted.Age(c.waited(s))
	}
	c.take(s, r)
	return true, evicted
}

// remembered returns the slot of a session; nil: there is none.
func (c *Coalescer) remembered(r *session.Record) *slot {
	if c.coalesceTable == nil {
		return nil
	}
	hash := r.Hash(c.seed)
	set := &c.sets[hash%coalesceSets]
	for found := set.find(tagOf(hash)); found != 0; found &= found - 1 {
		if s := &set.slots[slotOf(found)]; s.sent != 0 && s.record.SameSession(r) {
			return s
		}
	}
	return nil
}

// Update replaces what is remembered of a session, so that its refresh has these times.
func (c *Coalescer) Update(r *session.Record) {
	if s := c.remembered(r); s != nil {
		s.record, s.came = *r, c.ms
	}
}

// Supersede takes a session that another host, which translates its packets now, has just sent to the group. A refresh of
// it that waits here is dropped: it is older. The next one waits for a period.
func (c *Coalescer) Supersede(r *session.Record) {
	if s := c.remembered(r); s != nil {
		c.take(s, r)
	}
}

// Remove forgets the sessions of BIB entries that were removed, and drops their refreshes.
func (c *Coalescer) Remove(removed map[Mask]struct{}) {
	if c.coalesceTable == nil {
		return
	}
	for n := range c.sets {
		for k := range c.sets[n].slots {
			s := &c.sets[n].slots[k]
			if _, is := removed[maskOf(&s.record)]; is && s.sent != 0 {
				c.forget(s)
			}
		}
	}
}

// forget frees a slot. The slot stays in its list until the list's tick.
func (c *Coalescer) forget(s *slot) {
	if s.pending {
		s.pending = false
		c.pending--
	}
	s.sent = 0
}

// take assigns the slot to a session that is sent now.
func (c *Coalescer) take(s *slot, r *session.Record) {
	if s.pending {
		s.pending = false
		c.pending--
	}
	s.record, s.sent = *r, c.now
}

// leastNeeded returns the slot for a new session if the one whose turn it is has a refresh.
func (s *set) leastNeeded() uint64 {
	least := uint64(0)
	for k := range uint64(coalesceWays) {
		at := (s.hand + k) % coalesceWays
		if !s.slots[at].pending {
			return at
		}
		if s.slots[at].sent < s.slots[least].sent {
			least = at
		}
	}
	return least
}

// list puts the slot into a tick's list.
func (c *Coalescer) list(s *slot, at place, due tick) {
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

func (c *Coalescer) slot(at place) *slot {
	return &c.sets[(at-1)/coalesceWays].slots[(at-1)%coalesceWays]
}

// Flush emits all refreshes that are due, each valid until emit returns, and returns when to call Flush again (zero: not
// needed).
func (c *Coalescer) Flush(now time.Time, emit func(*session.Record)) time.Time {
	if c.coalesceTable == nil {
		return time.Time{}
	}
	c.Begin(now)
	if c.now > c.flushed+dueLists {
		c.flushed = c.now - dueLists // no list is flushed twice
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
	return c.Next()
}

// Drain emits all refreshes, due or not, and forgets all sessions.
func (c *Coalescer) Drain(now time.Time, emit func(*session.Record)) {
	if c.coalesceTable == nil {
		return
	}
	c.Hasten(now, emit)
	c.Free()
}

// Hasten emits all refreshes, due or not.
func (c *Coalescer) Hasten(now time.Time, emit func(*session.Record)) {
	if c.coalesceTable == nil {
		return
	}
	c.Begin(now)
	for n := range c.sets {
		for k := range c.sets[n].slots {
			if s := &c.sets[n].slots[k]; s.pending {
				s.record.Age(c.waited(s))
				emit(&s.record)
				s.pending, s.sent = false, c.now
				c.pending--
			}
		}
	}
}

// look emits the slot's refresh if it has one and the period of its session is over. The period may end later than this
// tick if the slot was listed for another session.
func (c *Coalescer) look(s *slot, at place, emit func(*session.Record)) {
	s.listed = false
	c.listed--
	if !s.pending {
		return
	}
	if due := s.sent + c.periods(); due > c.now {
		c.list(s, at, due)
		return
	}
	s.record.Age(c.waited(s))
	emit(&s.record)
	s.pending, s.sent = false, c.now
	c.pending--
}

// Next returns when Flush has something to do (zero: never).
func (c *Coalescer) Next() time.Time {
	if c.pending == 0 {
		return time.Time{}
	}
	return c.base.Add(time.Duration(c.due-1) * refreshEvery)
}

// Idle reports whether no refresh waits.
func (c *Coalescer) Idle() bool { return c.pending == 0 }

// Free forgets all sessions and frees the memory. The Coalescer must be idle.
func (c *Coalescer) Free() { c.coalesceTable = nil }

// waited returns for how long a slot's refresh has waited.
func (c *Coalescer) waited(s *slot) time.Duration {
	return time.Duration(c.ms-s.came) * time.Millisecond
}
