package replication

import (
	"slices"
	"testing"
	"time"

	"joolctl/session"
	"joolctl/syncwire"
)

// TestAbandonedWhileStoring has a full sync end in the middle, after BIB entries were removed for its sessions. The sessions that
// are queued are stored before another peer is asked.
func TestAbandonedWhileStoring(t *testing.T) {
	const n = 10 * syncwire.MaxBulk
	for _, c := range []struct {
		name string
		ends func(h *receiverHost)
	}{
		{"the sender says GONE", func(h *receiverHost) {
			h.Gone(&syncwire.Gone{To: h.knowledge.Self(), FullSync: 5}, h.peer, h.now)
		}},
		{"END does not fit the BULKs", func(h *receiverHost) { h.ends(5, 1) }},
	} {
		h := newReceiverHost(sessionsOfMasks(n, time.Hour)...)
		var table []session.Record
		for i := range n {
			table = append(table, taken(4*i, 0))
		}
		h.Piece = n / 2
		h.begins(5, n)
		h.run()
		for i := range bulksOf(n / 2) {
			h.bulk(5, i, table)
		}
		for len(h.removed) == 0 { // until the comparison is stored
			h.posted[0]()
			h.posted = h.posted[1:]
		}
		if len(h.module) > n-len(h.removed)+100 {
			t.Fatalf("%s: everything is stored already", c.name)
		}
		c.ends(h)
		if h.phase != PhaseInjecting {
			t.Errorf("%s: %v", c.name, h.phase)
		}
		h.run()
		stored := slices.DeleteFunc(slices.Clone(table), func(r session.Record) bool { return !has(h.module, r) })
		if len(stored) != len(h.removed) || len(h.module) != n {
			t.Errorf("%s: %d mappings are removed, and %d sessions stored", c.name, len(h.removed), len(stored))
		}
		if h.phase == PhaseInjecting || h.in != nil {
			t.Errorf("%s: the full sync has not ended: %v", c.name, h.phase)
		}
	}
}

// TestAbandonedWhileComparing has a full sync end while tables are compared. No BIB entry is removed.
func TestAbandonedWhileComparing(t *testing.T) {
	h := newReceiverHost(sessionsOfMasks(syncwire.MaxBulk, time.Hour)...)
	var table []session.Record
	for i := range 2 * syncwire.MaxBulk {
		table = append(table, taken(4*i, 0))
	}
	h.Piece = syncwire.MaxBulk
	h.begins(5, len(table))
	h.run()
	h.bulk(5, 0, table)
	h.Gone(&syncwire.Gone{To: h.knowledge.Self(), FullSync: 5}, h.peer, h.now)
	h.run()
	if len(h.removed) > 0 || h.in != nil {
		t.Errorf("%d mappings are removed; %v", len(h.removed), h.phase)
	}
}

// TestRepeatedBegins has a sender repeat BEGIN between its silences. They do not hide that no BULK arrives.
func TestRepeatedBegins(t *testing.T) {
	h := newReceiverHost()
	h.Set(CauseStart)
	h.begins(1, 100)
	h.run()
	for range MaxStalls + 1 {
		h.now = h.now.Add(StallFor)
		h.tick(h.now)
		h.begins(1, 100)
	}
	if !slices.Contains(h.events, Event(SyncStopped{From: h.peer.Address})) {
		t.Errorf("%v, after %d pauses", h.phase, h.in.stalls)
	}
}

// TestBeginsWithoutBulk has a sender announce a full sync again and again. After a time that depends on the number of sessions,
// the receiver gives up, and only a BULK has it continue.
func TestBeginsWithoutBulk(t *testing.T) {
	for _, sessions := range []int{100, 1_000_000} {
		h := newReceiverHost()
		h.Set(CauseStart)
		began, limit := h.now, ReadWithin+time.Duration(sessions)*ReadSession
		for h.now.Sub(began) < 2*limit {
			h.begins(1, sessions)
			h.run()
			if waited := h.now.Sub(began); h.phase != PhaseCollecting && waited < limit {
				t.Fatalf("%d sessions: %v after %v", sessions, h.phase, waited)
			}
			for range 2 {
				h.now = h.now.Add(StallFor / 4)
				h.tick(h.now)
			}
		}
		if !slices.Contains(h.events, Event(SyncStopped{From: h.peer.Address})) || h.phase == PhaseCollecting {
			t.Errorf("%d sessions: %v after %v", sessions, h.phase, h.now.Sub(began))
		}
	}
	h := newReceiverHost()
	h.Set(CauseStart)
	began := h.now
	for h.begins(1, 100); h.phase == PhaseCollecting; h.tick(h.now) {
		h.now = h.now.Add(StallFor / 2)
		h.begins(1, 100)
	}
	if h.bulk(1, 0, sessionsOfMasks(100, time.Hour)); h.phase != PhaseCollecting {
		t.Errorf("%v after a BULK that arrives %v after the first BEGIN", h.phase, h.now.Sub(began))
	}
}

// TestBlockedPeerGone has sessions blocked by the limit on removals. Their peer is gone before another full sync, or another full
// sync is wanted first.
func TestBlockedPeerGone(t *testing.T) {
	for _, c := range []struct {
		name    string
		then    func(h *receiverHost)
		blocked bool
		cause   string
	}{
		{"nothing happens", func(*receiverHost) {}, true, CauseBlocked},
		{"the peer is gone", func(h *receiverHost) { h.now = h.now.Add(time.Minute) }, false, ""},
		{"the group changes", func(h *receiverHost) {
			h.peers.ForgetAll()
			h.Listen(CauseMoved, h.now)
			h.now = h.now.Add(ListenFor)
			h.tick(h.now)
		}, false, ""},
		{"another full sync brings nothing", func(h *receiverHost) {
			h.Drop()
			other := h.heard(0x20f, otherAddress)
			h.peer, other = other, h.peer
			h.receives(9, nil)
			h.peer = other
		}, true, CauseBlocked},
		{"all mappings may be removed", func(h *receiverHost) {
			h.removals = RemovalLimit{}
			h.receives(9, []session.Record{taken(0, 0), taken(4, 0)})
		}, false, ""},
	} {
		h := newReceiverHost(sessionsOfMasks(2, time.Hour)...)
		h.hello(syncwire.Hello{Sync: syncwire.SyncYes, Generation: 1}, 0)
		h.knowledge.Merge(h.whole(), h.knowledge.Doubts(), h.now)
		h.removals.Spend(MaxRemovals-1, h.now)
		h.receives(8, []session.Record{taken(0, 0), taken(4, 0)})
		if h.Progress().Blocked != 1 || h.Cause != CauseBlocked {
			t.Fatalf("%s: %+v", c.name, h.Progress())
		}
		c.then(h)
		h.Judge(h.now)
		if p := h.Progress(); (p.Blocked > 0) != c.blocked || h.Cause != c.cause {
			t.Errorf("%s: %d sessions are blocked, and a full sync is wanted because of %q", c.name, p.Blocked, h.Cause)
		}
	}
}

// TestAbandonedAfterStoring has a full sync end in the middle, after it has stored sessions that no vector has shown to be missing.
// Other peers may lack them, too.
func TestAbandonedAfterStoring(t *testing.T) {
	const n = 4 * syncwire.MaxBulk
	for _, c := range []struct {
		cause string
		ends  func(h *receiverHost)
		rises bool
	}{
		{CauseLargerTable, func(h *receiverHost) { h.Gone(&syncwire.Gone{To: h.knowledge.Self(), FullSync: 5}, h.peer, h.now) }, true},
		{CauseVerification, func(h *receiverHost) { h.Gone(&syncwire.Gone{To: h.knowledge.Self(), FullSync: 5}, h.peer, h.now) }, true},
		{CauseVerification, func(h *receiverHost) { h.Listen(CauseMoved, h.now) }, true},
		{CauseLacks, func(h *receiverHost) { h.Gone(&syncwire.Gone{To: h.knowledge.Self(), FullSync: 5}, h.peer, h.now) }, false},
	} {
		h := newReceiverHost()
		h.Set(c.cause)
		h.Piece = n / 2
		h.begins(5, n)
		h.run()
		for i := range bulksOf(n / 2) {
			h.bulk(5, i, sessionsAt(0, n))
			h.run()
		}
		if len(h.module) != n/2 {
			t.Fatalf("%d sessions are stored", len(h.module))
		}
		before := h.knowledge.Position().Generation
		c.ends(h)
		if rises := h.knowledge.Position().Generation > before; h.in != nil || rises != c.rises {
			t.Errorf("%s: the generation rises: %v, want %v", c.cause, rises, c.rises)
		}
	}
}

// TestGenerationAfterLargerTable has a full sync bring sessions of which the vector has not shown that they were missing. The
// generation rises unless live datagrams have brought these sessions, too.
func TestGenerationAfterLargerTable(t *testing.T) {
	const n = 4 * syncwire.MaxBulk
	for _, c := range []struct {
		name  string
		cause string
		live  int  // sessions that live datagrams bring meanwhile
		stops bool // the full sync stops in the middle, and resumes when no full sync is wanted
		rises bool
	}{
		{"nothing is live", CauseLargerTable, 0, false, true},
		{"everything is live", CauseLargerTable, n, false, false},
		{"one session is not", CauseLargerTable, n - 1, false, true},
		{"the vector has shown it", CauseLacks, 0, false, false},
		{"it resumes", CauseLargerTable, 0, true, true},
		{"it resumes, and the vector has shown it", CauseLacks, 0, true, false},
	} {
		h := newReceiverHost()
		h.Set(c.cause)
		h.begins(5, n)
		h.run()
		for _, r := range sessionsAt(0, c.live) {
			h.Receiver.Queue(packedList(t, r), false)
		}
		table := sessionsAt(0, n)
		if c.stops {
			h.bulk(5, 0, table)
			h.givesUp(t)
			h.finish(h.now)
		}
		before := h.knowledge.Position().Generation
		for i := range bulksOf(n) {
			h.bulk(5, i, table)
			h.run()
		}
		h.ends(5, n)
		h.run()
		if rises := h.knowledge.Position().Generation > before; rises != c.rises || len(h.module) != n {
			t.Errorf("%s: %d sessions are stored, and the generation rises: %v, want %v", c.name, len(h.module), rises, c.rises)
		}
	}
}

// TestBlockedPeerReturns has sessions blocked by the limit on removals, and forgotten. The host is not complete once their peer is
// heard again, and requests a full sync.
func TestBlockedPeerReturns(t *testing.T) {
	table := []session.Record{taken(0, 0), taken(4, 0)}
	hello := func(h *receiverHost) { h.hello(syncwire.Hello{Sync: syncwire.SyncYes, Generation: 1}, 0) }
	for _, c := range []struct {
		name string
		then func(h *receiverHost)
	}{
		{"the peer is silent for a while", func(h *receiverHost) {
			h.now = h.now.Add(HelloIdle + LateHello + time.Second)
			h.Judge(h.now)
			hello(h)
		}},
		{"the group changes", func(h *receiverHost) {
			h.peers.ForgetAll()
			h.Listen(CauseMoved, h.now)
			h.peer = h.heard(h.peer.ID, h.peer.Address)
			hello(h)
			h.now = h.now.Add(ListenFor)
			h.tick(h.now)
		}},
		{"the host stops and starts to synchronise", func(h *receiverHost) {
			h.Stop(h.now)
			h.Listen(CauseStart, h.now)
			h.now = h.now.Add(ListenFor)
			h.tick(h.now)
		}},
	} {
		h := newReceiverHost(sessionsOfMasks(2, time.Hour)...)
		hello(h)
		h.knowledge.Merge(h.whole(), h.knowledge.Doubts(), h.now)
		h.removals.Spend(MaxRemovals-1, h.now)
		if h.receives(8, table); h.Progress().Blocked != 1 {
			t.Fatalf("%s: %+v", c.name, h.Progress())
		}
		if c := h.knowledge.Whole(h.now); slices.ContainsFunc(c[1:], func(c syncwire.Component) bool { return c.Known }) {
			t.Errorf("BEGIN would claim sessions that are not stored: %+v", c)
		}
		c.then(h)
		h.Judge(h.now)
		peers := func(l Lack) bool { return l.Peer == h.peer && !l.Pending }
		if h.sync != syncwire.SyncNo || h.Cause == "" || !slices.ContainsFunc(h.knowledge.Lacks(), peers) {
			t.Errorf("%s: the host says %v and lacks %+v, and wants a full sync because of %q", c.name, h.sync, h.knowledge.Lacks(), h.Cause)
		}
	}
}

// TestBlockedByTwo has sessions of two peers blocked by the limit on removals. Neither peer's sessions are forgotten because of the
// other's.
func TestBlockedByTwo(t *testing.T) {
	table := []session.Record{taken(0, 0), taken(4, 0)}
	h := newReceiverHost(sessionsOfMasks(2, time.Hour)...)
	h.hello(syncwire.Hello{Sync: syncwire.SyncYes, Generation: 1}, 0)
	h.knowledge.Merge(h.whole(), h.knowledge.Doubts(), h.now)
	first, second := h.peer, h.heard(0x20f, otherAddress)
	h.removals.Spend(MaxRemovals, h.now)
	want := func(when string, sessions int, about ...*Peer) {
		t.Helper()
		h.Judge(h.now)
		if p := h.Progress(); p.Blocked != sessions || h.Cause == CauseBlocked != (sessions > 0) || sessions > 0 && !slices.Contains(about, h.About) {
			t.Errorf("%s: %d sessions are blocked, and a full sync is wanted because of %q", when, p.Blocked, h.Cause)
		}
		at := syncwire.Position{Generation: 1}
		if !h.knowledge.vector.Contains(first.ID, at) {
			t.Errorf("%s: the first peer's sessions are forgotten", when)
		}
	}
	receives := func(from *Peer, id uint32) {
		h.Drop()
		h.peer = from
		h.receives(id, slices.Clone(table))
	}
	receives(first, 8)
	receives(second, 9)
	want("both", 4, first, second)
	h.removals = RemovalLimit{}
	receives(second, 10)
	want("the second may be stored", 2, first)
	receives(first, 11)
	want("the first is stored, too", 0)
}

// TestBlockedCheckpoint has sessions blocked by the limit on removals. The vector claims them, so no worker may continue with it.
func TestBlockedCheckpoint(t *testing.T) {
	e := newHost()
	for _, blocked := range []int{0, 1} {
		e.host.Receiver.blocked = make([]blockedSessions, blocked)
		if e.host.MayCheckpoint(e.now) != (blocked == 0) {
			t.Errorf("%d sessions are blocked, and the host leaves a checkpoint: %v", blocked, blocked > 0)
		}
	}
}

// TestOnlyPosition has a full sync bring no session. It is no lasting difference if it brings the position that was missing.
func TestOnlyPosition(t *testing.T) {
	for _, c := range []struct {
		name    string
		vector  func(h *receiverHost) []syncwire.Component
		lasting bool
	}{
		{"it brings the position", (*receiverHost).whole, false},
		{"it does not", func(*receiverHost) []syncwire.Component { return nil }, true},
	} {
		h := newReceiverHost()
		h.finish(h.now)
		h.hello(syncwire.Hello{Sync: syncwire.SyncYes, Generation: 1}, 0)
		h.Judge(h.now)
		h.now = h.now.Add(FirstPause)
		if h.tick(h.now); h.Cause != CauseLacks || h.phase != PhaseAsking {
			t.Fatalf("%q, %v", h.Cause, h.phase)
		}
		h.Begin(&syncwire.Begin{FullSync: 5, Settings: ttl, Audience: []syncwire.ID{h.knowledge.Self()}, Vector: c.vector(h)}, h.peer, h.now, h.now)
		h.run()
		h.ends(5, 0)
		h.run()
		if b := h.peer.Pauses[CauseLacks]; b.Lasting != c.lasting || b.Ended != h.now {
			t.Errorf("%s: %+v", c.name, b)
		}
	}
}
