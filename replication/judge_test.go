package replication

import (
	"testing"
	"time"

	"joolctl/syncwire"
)

// hello has the peer send HELLO.
func (h *receiverHost) hello(hello syncwire.Hello, last syncwire.Seq) {
	hello.Settings = ttl
	h.heard(h.peer.ID, h.peer.Address)
	h.Hello(h.peer, &hello, last, h.now, h.now)
}

// whole is the vector of the peer's table.
func (h *receiverHost) whole() []syncwire.Component {
	at := syncwire.Position{Generation: 1}
	return []syncwire.Component{{Origin: h.peer.ID, Known: true, Complete: at, Highest: at}}
}

// seconds has the peer send a HELLO each second, and returns when the host requests its table. Each full sync ends at once, after
// it has stored so many sessions.
func (h *receiverHost) seconds(d time.Duration, sessions uint32, stores int, each func()) (requested []time.Duration) {
	began := h.now
	for h.now.Sub(began) < d {
		h.now = h.now.Add(time.Second)
		h.hello(syncwire.Hello{Sync: syncwire.SyncYes, Sessions: sessions, Generation: 1}, 0)
		each()
		h.tick(h.now)
		if h.phase == PhaseAsking {
			requested = append(requested, h.now.Sub(began))
			h.in = &incoming{vector: h.whole(), doubts: h.knowledge.Doubts(), merges: true, asked: true, id: 1, from: h.peer, base: h.now,
				storing: storing{injection: Injection{Given: stores}, report: SyncReport{GaveBack: stores}}}
			h.done(h.now)
		}
	}
	return requested
}

// TestLastingDifference has a peer's table stay larger for an hour, though the host has stored all of it.
func TestLastingDifference(t *testing.T) {
	for _, c := range []struct {
		name   string
		stores int
	}{{"nothing is stored", 0}, {"each time another session is stored", 1}} {
		t.Run(c.name, func(t *testing.T) {
			h := newReceiverHost()
			h.finish(h.now)
			requested := h.seconds(time.Hour, 10, c.stores, func() {})
			if n := len(requested); n < 10 || n > 25 {
				t.Errorf("requested %d times in an hour, first at %v", n, requested[:min(n, 10)])
			}
			if last := requested[len(requested)-2:]; last[1]-last[0] < LongestPause {
				t.Errorf("requested at %v: the pause does not grow to minutes", last)
			}

			// Another cause does not wait for that, nor does the same one with another peer.
			lost := false
			requested = h.seconds(10*time.Second, 10, c.stores, func() {
				if !lost {
					lost = true
					h.Want(CauseLacks, nil, h.now)
				}
			})
			if len(requested) == 0 || requested[0] > 3*time.Second {
				t.Errorf("after a loss requested at %v", requested)
			}
			other := h.heard(0x20f, otherAddress)
			if h.Suspect(CauseLargerTable, other, h.now); h.About != other || h.Due().Sub(h.now) > 3*time.Second {
				t.Errorf("another peer waits %v", h.Due().Sub(h.now))
			}

			// The difference disappears, and a new one follows later.
			h.seconds(10*time.Second, 0, c.stores, func() {})
			requested = h.seconds(20*time.Second, 10, c.stores, func() {})
			if len(requested) == 0 || requested[0] > 10*time.Second {
				t.Errorf("for a new difference requested at %v", requested)
			}
		})
	}
}

// TestRefusedAgain has the module have no memory for a session each second. The host requests full syncs more and more
// rarely.
func TestRefusedAgain(t *testing.T) {
	h := newReceiverHost()
	h.finish(h.now)
	h.knowledge.Merge(h.whole(), h.knowledge.Doubts(), h.now)
	incomplete := 0
	requested := h.seconds(10*time.Minute, 0, 0, func() {
		h.Doubt(h.now)
		h.Judge(h.now)
		if h.sync == syncwire.SyncNo {
			incomplete++
		}
	})
	if n := len(requested); n < 5 || n > 12 {
		t.Errorf("requested %d times: %v", n, requested)
	}
	if incomplete == 0 {
		t.Error("the host is never incomplete")
	}
}

// TestWaitsForReturn has two hosts that lack each other's sessions. One whose table was just requested does not request one
// before the other one had time to return what it has.
func TestWaitsForReturn(t *testing.T) {
	for _, c := range []struct {
		name string
		at   time.Duration
		sync syncwire.Sync
		want Phase
	}{
		{"the peer compares", LeastTaken / 2, syncwire.SyncNo, PhaseSettled},
		{"the peer compares for too long", LeastTaken, syncwire.SyncNo, PhaseAsking},
		{"the peer is alone", LeastTaken / 2, syncwire.SyncAlone, PhaseAsking},
	} {
		h := newReceiverHost()
		h.peer.Served = h.now
		h.now = h.now.Add(c.at)
		h.hello(syncwire.Hello{Sync: c.sync, Generation: 1}, 0)
		h.Judge(h.now)
		if h.Cause != CauseLacks {
			t.Fatalf("%s: a full sync is wanted because %q", c.name, h.Cause)
		}
		h.tick(h.Due())
		if h.phase != c.want {
			t.Errorf("%s: %v", c.name, h.phase)
		}
	}
}

// TestUnclaimed has a full sync store sessions of a peer that is gone soon after. The host's generation rises unless a
// HELLO was heard by which all of the sessions had a position.
func TestUnclaimed(t *testing.T) {
	const never = -1
	for _, c := range []struct {
		name  string
		hello time.Duration // when the peer says HELLO after the full sync; never: it does not
		last  syncwire.Seq  // of that HELLO; the host has received 5
		gone  bool          // another peer, soon after the full sync
		want  uint32        // by how much the generation rises
	}{
		{"it dies at once", never, 0, false, 1},
		{"its module may not have reported them", ReportedWithin - time.Second, 5, false, 1},
		{"all have a position", ReportedWithin + time.Second, 5, false, 0},
		{"the host lacks live datagrams", ReportedWithin + time.Second, 9, false, 1},
		{"it may have some from a peer that has not reported them", ReportedWithin + time.Second, 5, true, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newReceiverHost()
			began := h.now
			h.peer.Stream.Start(6)
			says := func(last syncwire.Seq) {
				h.peer.Stream.ExpectUpTo(last, h.now, func([]byte) {})
				h.hello(syncwire.Hello{Sync: syncwire.SyncYes, Generation: 1, NextIn: 1}, last)
			}
			says(5)
			at := syncwire.Position{Generation: 1, Seq: 5}
			h.knowledge.Merge([]syncwire.Component{{Origin: h.peer.ID, Known: true, Complete: at, Highest: at}}, h.knowledge.Doubts(), h.now)
			if c.gone {
				h.Hello(h.heard(0x20f, otherAddress), &syncwire.Hello{Sync: syncwire.SyncYes, Settings: ttl, NextIn: 1}, 0, h.now, h.now)
			}
			h.knowledge.Stores(h.peer.ID, h.now)
			h.Look(h.now)
			h.now = began.Add(3 * time.Second)
			h.heard(h.peer.ID, peerAddress)
			h.Look(began.Add(4 * time.Second)) // the other peer is gone
			if c.hello != never {
				h.now = began.Add(c.hello)
				says(c.last)
				h.Look(h.now)
			}
			before := h.knowledge.Position().Generation
			h.Look(h.peer.liveUntil().Add(-1))
			if h.knowledge.Position().Generation != before {
				t.Error("the generation rises while the peer is there")
			}
			for range 2 {
				h.Look(h.peer.liveUntil().Add(1))
			}
			if rises := h.knowledge.Position().Generation - before; rises != c.want {
				t.Errorf("the generation rises by %d, want %d", rises, c.want)
			}
		})
	}
}

// TestVerifyDue requests a table although nothing shows that sessions are missing.
func TestVerifyDue(t *testing.T) {
	const period = time.Minute
	for _, c := range []struct {
		name   string
		set    func(h *receiverHost)
		after  time.Duration // the last comparison
		wanted bool
	}{
		{"the period is not over", func(*receiverHost) {}, 50 * time.Second, false},
		{"it is", func(*receiverHost) {}, 2 * period, true},
		{"no sessions have flowed", func(h *receiverHost) { h.active = h.verified.Add(-time.Second) }, 2 * period, false},
		{"alone", func(h *receiverHost) { h.sync = syncwire.SyncAlone }, 2 * period, false},
		{"another full sync is wanted", func(h *receiverHost) { h.Want(CauseLacks, h.peer, h.now) }, 2 * period, false},
		{"one is under way", func(h *receiverHost) { h.enter(PhaseAsking, h.now, h.now) }, 2 * period, false},
		{"switched off", func(h *receiverHost) { h.Verify = 0 }, 2 * period, false},
		{"nobody is there", func(h *receiverHost) { h.peers.ForgetAll() }, 2 * period, false},
	} {
		h := newReceiverHost()
		h.Verify, h.sync, h.verified, h.active = period, syncwire.SyncYes, h.now, h.now.Add(time.Second)
		c.set(h)
		h.now = h.now.Add(c.after)
		if len(h.peers.All()) > 0 {
			h.heard(h.peer.ID, h.peer.Address)
		}
		h.verify(h.now)
		if wanted := h.Cause == CauseVerification; wanted != c.wanted {
			t.Errorf("%s: wanted: %v", c.name, wanted)
		}
	}
}

// TestOutdatedHello has HELLOs arrive behind newer ones. The position of a peer does not fall, unless the peer keeps saying so.
func TestOutdatedHello(t *testing.T) {
	type said struct {
		generation uint32
		last       syncwire.Seq
		dropping   bool
	}
	for _, c := range []struct {
		name     string
		hellos   []said
		want     uint32 // the generation of the last HELLO that counts
		dropping bool
	}{
		{"in order", []said{{1, 0, true}, {2, 0, false}}, 2, false},
		{"one generation late", []said{{2, 0, false}, {1, 0, true}}, 2, false},
		{"one datagram late", []said{{1, 5, false}, {1, 4, true}}, 1, false},
		{"a new generation after the sequence numbers have wrapped", []said{{1, 5, false}, {2, 0, true}}, 2, true},
		{"the same again", []said{{1, 5, false}, {1, 5, true}}, 1, true},
		{"a duplicate after each HELLO", []said{{1, 0, true}, {2, 0, false}, {1, 0, true}, {3, 0, false}, {1, 0, true}, {3, 0, false}, {1, 0, true}}, 3, false},
		{"a forged HELLO", []said{{1, 0, false}, {1 << 31, 0, true}, {1, 1, false}, {1, 2, false}, {1, 3, false}}, 1, false},
	} {
		h := newReceiverHost()
		h.finish(h.now)
		for _, s := range c.hellos {
			h.now = h.now.Add(time.Millisecond)
			h.hello(syncwire.Hello{Sync: syncwire.SyncYes, Generation: s.generation, NextIn: 10, Dropping: s.dropping}, s.last)
		}
		if _, dropping := h.peer.Dropping(); h.peer.generation != c.want || dropping != c.dropping {
			t.Errorf("%s: generation %d, dropping %v", c.name, h.peer.generation, dropping)
		}
	}
}

// TestHelloOvertaken has a HELLO arrive behind the one in which the peer's generation has risen. The host stays incomplete.
func TestHelloOvertaken(t *testing.T) {
	h := newReceiverHost()
	h.finish(h.now)
	h.knowledge.Merge(h.whole(), h.knowledge.Doubts(), h.now)
	for _, generation := range []uint32{2, 1} {
		h.hello(syncwire.Hello{Sync: syncwire.SyncYes, Generation: generation, NextIn: 10}, 0)
		h.now = h.now.Add(5 * time.Millisecond)
	}
	h.now = h.now.Add(9 * time.Second)
	if h.Judge(h.now); h.sync != syncwire.SyncNo {
		t.Errorf("%v 9 s after a HELLO with generation 2; the table has generation 1", h.sync)
	}
}

// TestLackOfAnother has a peer's module drop sessions, so that the peer is not asked for 30 s. Meanwhile sessions of another peer are
// missing, which is asked at once.
func TestLackOfAnother(t *testing.T) {
	for _, more := range []bool{false, true} { // the first peer has more of the missing sessions
		h := newReceiverHost()
		h.finish(h.now)
		other := h.heard(0x20f, otherAddress)
		says := syncwire.Hello{Sync: syncwire.SyncYes, Generation: 1, NextIn: 10, Dropping: true}
		if more {
			says.Vector = []syncwire.Component{{Origin: 0x30f, Highest: syncwire.Position{Generation: 1}, Age: 5}}
		}
		h.hello(says, 0)
		h.Judge(h.now)
		h.Hello(other, &syncwire.Hello{Sync: syncwire.SyncYes, Generation: 1, NextIn: 10, Settings: ttl}, 0, h.now, h.now)
		for range 10 {
			h.now = h.now.Add(time.Second / 2)
			h.Tick(h.now)
		}
		if len(h.tried) == 0 || h.tried[0] != other.ID {
			t.Errorf("%v: asked %x, due in %v", more, h.tried, h.Due().Sub(h.now))
		}
		if h.peer.replaced || !h.peer.Live(h.now) {
			t.Error("the first peer is gone")
		}
	}
}

// TestDeafPeer has a peer hear nobody for a minute, so that it answers no request, and then hear this host again: it is asked at once.
func TestDeafPeer(t *testing.T) {
	h := newReceiverHost()
	h.finish(h.now)
	for range 60 {
		h.now = h.now.Add(time.Second)
		h.hello(syncwire.Hello{Sync: syncwire.SyncAlone, Generation: 1, NextIn: 10}, 0)
		h.Tick(h.now)
	}
	if due := h.Due().Sub(h.now); h.phase == PhaseSettled && due < 5*time.Second {
		t.Fatalf("a peer that answers no request is asked again in %v", due)
	}
	for h.phase != PhaseSettled {
		h.now = h.now.Add(100 * time.Millisecond)
		h.Tick(h.now)
	}
	h.tried = nil
	h.hello(syncwire.Hello{Sync: syncwire.SyncYes, Generation: 1, NextIn: 10}, 0)
	for range 25 {
		h.now = h.now.Add(100 * time.Millisecond)
		h.Tick(h.now)
	}
	if len(h.tried) == 0 {
		t.Errorf("it hears this host again, and is asked in %v", h.Due().Sub(h.now))
	}
}
