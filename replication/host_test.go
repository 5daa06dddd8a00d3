package replication

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"joolctl/session"
	"joolctl/syncwire"
)

// hostEffects has a module with a list of sessions, and a network that records datagrams and messages.
type hostEffects struct {
	*receiverHost
	host     *Host
	scratch  Scratch
	datagram []syncwire.Trailer // sent
	sessions int                // in these
	longest  int                // the most sessions in one of these
	messages []syncwire.Body
	// audiences are those of messages.
	audiences [][]syncwire.ID
	counts    map[Counter]uint64
	counters  bool // the module has counters
	lookups   int
}

func newHost(own ...session.Record) *hostEffects {
	e := &hostEffects{receiverHost: newReceiverHost(own...), counts: make(map[Counter]uint64)}
	e.host = NewHost(e, Config{Sequence: true, Refresh: time.Second, Format: session.Packed40, Software: "test", Limits: syncwire.NewLimits(syncwire.DefaultMTU, false, false),
		Beats: Beats{Epoch: e.now}, Random: rand.New(rand.NewPCG(1, 2))}, e.now)
	e.host.SetSettings(ttl)
	return e
}

func (e *hostEffects) Transmit(entries []byte, t syncwire.Trailer) {
	e.datagram = append(e.datagram, t)
	n := session.Packed40.CountList(entries)
	e.sessions += n
	e.longest = max(e.longest, n)
}
func (e *hostEffects) Message(m syncwire.Message, to []syncwire.ID) {
	e.messages, e.audiences = append(e.messages, m.Body), append(e.audiences, slices.Clone(to))
}
func (e *hostEffects) Push()                     {}
func (e *hostEffects) Scratch() *Scratch         { return &e.scratch }
func (e *hostEffects) Count(c Counter, n uint64) { e.counts[c] += n }
func (e *hostEffects) Store(entries []byte)      { e.store(entries) }

func (e *hostEffects) Lookup(r *session.Record) (own session.Record, there bool, err error) {
	e.lookups++
	own, there = e.module[r.Key()]
	return own, there, nil
}

func (e *hostEffects) ReadCounters(now time.Time) {
	if e.counters {
		e.host.Polled(ModuleCounters{Sessions: uint64(len(e.module))}, now)
	}
}

// TestIdleFrees has a host free the memory that only traffic needs a minute after the last sessions were sent.
func TestIdleFrees(t *testing.T) {
	e := newHost()
	e.host.Reported(packedList(t, sessionAt(0, 0), sessionAt(4, 0)), e.now)
	if len(e.datagram) != 1 || e.sessions != 2 {
		t.Fatalf("%d sessions were sent", e.sessions)
	}
	for _, c := range []struct {
		after time.Duration
		empty bool
	}{{time.Second, false}, {time.Minute + time.Second, true}} {
		if e.host.Tick(e.now.Add(c.after)); (e.host.Retransmitter.slots == nil) != c.empty {
			t.Errorf("after %v, no datagrams are kept: %v", c.after, !c.empty)
		}
	}
}

// TestLongReports has the module report more sessions than fit a datagram: they are divided, and each datagram has a number. So are
// refreshes. A retransmission is as long as its original, even if the MTU is smaller now.
func TestLongReports(t *testing.T) {
	for _, c := range []struct {
		name    string
		limits  syncwire.Limits
		longest int
	}{
		{"1500", syncwire.NewLimits(1500, false, false), 36},
		{"1500, sealed", syncwire.NewLimits(1500, false, true), 39},
		{"1280", syncwire.NewLimits(1280, false, false), 30},
		{"1280, sealed", syncwire.NewLimits(1280, false, true), 33},
		{"9000", syncwire.NewLimits(9000, false, false), 41},
	} {
		for _, refresh := range []time.Duration{0, time.Second} {
			e := newHost()
			e.host.SetLimits(c.limits)
			e.host.SetPeriods(refresh, 0, e.now)
			report := packedList(t, recordsAt(41)...)
			e.host.Reported(slices.Clone(report), e.now)
			datagrams := (41 + c.longest - 1) / c.longest
			sent := func(what string, rounds int) {
				t.Helper()
				if len(e.datagram) != rounds*datagrams || e.sessions != rounds*41 || e.longest != min(c.longest, 41) {
					t.Errorf("%s, %s: %d sessions in %d datagrams of %d at most", c.name, what, e.sessions, len(e.datagram), e.longest)
				}
				for i, d := range e.datagram {
					if d.Seq != syncwire.Seq(i+1) || d.Kind != syncwire.Live {
						t.Errorf("%s, %s: datagram %d is %+v", c.name, what, i, d)
					}
				}
			}
			sent("new sessions", 1)
			e.host.Reported(slices.Clone(report), e.now)
			e.host.hasten(e.now)
			sent("the same sessions again", 2)

			e.host.SetLimits(syncwire.NewLimits(1280, false, false))
			e.datagram, e.sessions, e.longest = nil, 0, 0
			e.host.repeat([]syncwire.Range{{From: uint32(datagrams + 1), To: uint32(2 * datagrams)}}, 9, e.now)
			if len(e.datagram) != datagrams || e.sessions != 41 || e.longest != min(c.longest, 41) {
				t.Errorf("%s: %d sessions are retransmitted in %d datagrams of %d at most", c.name, e.sessions, len(e.datagram), e.longest)
			}
		}
	}
}

// TestRetransmissionsLookedUp has a retransmission arrive with sessions that have been idle for different times.
func TestRetransmissionsLookedUp(t *testing.T) {
	for _, c := range []struct {
		name     string
		reported time.Duration // how long ago the module has reported something; 0: never
		left     int
	}{
		{"never", 0, 3},
		{"long ago", time.Hour, 3},
		{"after two of them, perhaps", ReportLag + time.Second/2, 1},
		{"just now", 1, 0},
	} {
		e := newHost()
		e.host.lookups = lookups{window: e.now, n: MaxLookups}
		if c.reported > 0 {
			e.host.reported = e.now.Add(-c.reported)
		}
		before := e.host.Knowledge.Doubts()
		list := e.host.withoutOlder(packedList(t, sessionAt(0, time.Second), sessionAt(4, 0), sessionAt(8, time.Minute)), true, e.now)
		if n := session.Packed40.CountList(list); n != c.left {
			t.Errorf("the module has reported something %s: %d sessions are left, want %d", c.name, n, c.left)
		}
		out := uint64(3 - c.left)
		if doubts := uint64(e.host.Knowledge.Doubts() - before); e.counts[CountIgnored] != out || doubts != min(out, 1) {
			t.Errorf("the module has reported something %s: %d are ignored and the vector is forgotten %d times, want %d and once at most",
				c.name, e.counts[CountIgnored], doubts, out)
		}
	}
}

// TestPolled has the module's counters change.
func TestPolled(t *testing.T) {
	was := ModuleCounters{Sessions: 10, Complete: true, Packets: 5, Stored: 50, Reported: 7, Dropped: 3, Translated: 1000}
	for _, c := range []struct {
		name    string
		change  func(c *ModuleCounters)
		dropped uint64
		renewed bool
	}{
		{"no change", func(*ModuleCounters) {}, 0, false},
		{"they rise", func(c *ModuleCounters) { c.Packets, c.Stored, c.Reported, c.Translated = 6, 51, 8, 1001 }, 0, false},
		{"fewer sessions", func(c *ModuleCounters) { c.Sessions = 0 }, 0, false},
		{"dropped sessions", func(c *ModuleCounters) { c.Dropped += 4 }, 4, false},
		{"fewer packets translated", func(c *ModuleCounters) { c.Translated = 0 }, 0, true},
		{"fewer sessions stored", func(c *ModuleCounters) { c.Stored = 0 }, 0, true},
	} {
		e := newHost()
		if dropped, renewed := e.host.Polled(was, e.now); dropped != 0 || renewed || e.host.Dropping(e.now) {
			t.Errorf("%s: the first counters say that sessions were dropped", c.name)
		}
		self, generation, now := e.host.Knowledge.Self(), e.host.Knowledge.Position().Generation, was
		c.change(&now)
		dropped, fell := e.host.Polled(now, e.now)
		if dropped != c.dropped || e.host.Dropping(e.now) != (dropped > 0) || !c.renewed && (e.host.Knowledge.Position().Generation > generation) != (dropped > 0) {
			t.Errorf("%s: %d sessions were dropped, want %d", c.name, dropped, c.dropped)
		}
		if renewed := e.host.Knowledge.Self() != self; renewed != c.renewed || renewed != fell || renewed != (e.host.Receiver.Phase() == PhaseListening) {
			t.Errorf("%s: the instance is another one: %v", c.name, renewed)
		}
		if e.host.Dropping(e.now.Add(DroppingFor)) {
			t.Errorf("%s: the drops do not end", c.name)
		}
	}
}

// TestSequenceSwitchedOn switches on the numbering of a host's datagrams. The new position must show whether the host
// has sessions, and the sender ID must change, so that no peer applies an earlier position to the new table.
func TestSequenceSwitchedOn(t *testing.T) {
	for _, c := range []struct {
		name       string
		before     bool // it has numbered its datagrams before
		sessions   int
		generation uint32
	}{
		{"without sessions", false, 0, 0},
		{"with sessions", false, 1, 1},
		{"again, without sessions", true, 0, 0},
		{"again, with sessions", true, 1, 1},
	} {
		e := newHost()
		e.counters = true
		e.host.Sequence = c.before
		e.ReadCounters(e.now)
		e.host.SetSequence(false, e.now)
		self := e.host.Knowledge.Self()
		for i := range c.sessions {
			e.host.Reported(packedList(t, sessionAt(i, 0)), e.now)
			e.store(packedList(t, sessionAt(i, 0)))
		}
		e.host.SetSequence(true, e.now)
		if k := e.host.Knowledge; k.Self() == self || k.Position() != (syncwire.Position{Generation: c.generation}) {
			t.Errorf("%s: the position is %+v, want generation %d; the host is the same sender: %v", c.name, k.Position(), c.generation, k.Self() == self)
		}
	}
}

// TestBegin has a host find a checkpoint, and the module's counters as they were then or changed.
func TestBegin(t *testing.T) {
	was := ModuleCounters{Complete: true, Packets: 5, Stored: 50, Reported: 7, Dropped: 3, Translated: 1000}
	for _, c := range []struct {
		name      string
		change    func(c *ModuleCounters)
		adopted   bool
		continues bool
	}{
		{"no change", func(*ModuleCounters) {}, false, true},
		{"another number of sessions", func(c *ModuleCounters) { c.Sessions = 9 }, false, true},
		{"it was given sessions", func(c *ModuleCounters) { c.Packets, c.Stored = 6, 51 }, false, false},
		{"it has reported sessions", func(c *ModuleCounters) { c.Reported = 8 }, false, false},
		{"it has reported sessions, which wait in the socket", func(c *ModuleCounters) { c.Reported = 8 }, true, true},
		{"it has reported fewer sessions", func(c *ModuleCounters) { c.Reported = 6 }, true, false},
		{"it has dropped sessions", func(c *ModuleCounters) { c.Dropped = 4 }, true, false},
		{"another instance, which has reported more", func(c *ModuleCounters) { c.Reported, c.Translated = 9, 9 }, true, false},
		{"a module without counters", func(c *ModuleCounters) { *c = ModuleCounters{} }, false, false},
		{"nothing was synchronised", func(c *ModuleCounters) { *c = ModuleCounters{Complete: true} }, false, false},
	} {
		e := newHost()
		now := was
		c.change(&now)
		e.host.Polled(now, e.now)
		checkpoint := Checkpoint{Self: 77, Position: syncwire.Position{Generation: 2, Seq: 9}, Written: e.now.Add(-time.Second), Counters: was}
		e.host.Begin(&checkpoint, c.adopted, e.now)
		if continues := e.host.Knowledge.Self() == 77; continues != c.continues {
			t.Errorf("%s: the host continues the incarnation: %v", c.name, continues)
		}
	}
}
