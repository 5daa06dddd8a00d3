package replication

import (
	"slices"
	"testing"
	"time"

	"joolctl/session"
	"joolctl/syncwire"
)

const aPeer syncwire.ID = 0x10f

// says has a peer send a control message.
func (e *hostEffects) says(last syncwire.Seq, body syncwire.Body) {
	e.host.Message(peerAddress, syncwire.Message{Sender: aPeer, Last: last, Body: body}.Append(nil), e.now, e.now)
}

// receives has a peer send a datagram of sessions.
func (e *hostEffects) receives(t *testing.T, trailer syncwire.Trailer, records ...session.Record) {
	t.Helper()
	e.host.Received(peerAddress, packedList(t, records...), trailer.Append(nil), 0, e.now)
}

// sentOf returns the messages of one type that were sent.
func sentOf[T syncwire.Body](e *hostEffects) (list []T) {
	for _, m := range e.messages {
		if body, is := m.(T); is {
			list = append(list, body)
		}
	}
	return list
}

// emitted returns the events of a type.
func emitted[T Event](e *hostEffects) (list []T) {
	for _, event := range e.events {
		if ev, is := event.(T); is {
			list = append(list, ev)
		}
	}
	return list
}

// TestHostRetransmits has peers request datagrams of the host, and those of another sender.
func TestHostRetransmits(t *testing.T) {
	e := newHost()
	for i := range 3 {
		e.host.Reported(packedList(t, sessionAt(4*i, 0)), e.now)
	}
	self := e.host.Knowledge.Self()
	nack := func(to syncwire.ID, from, upTo uint32) {
		e.datagram, e.messages = nil, nil
		e.says(0, &syncwire.Nack{To: to, Ranges: []syncwire.Range{{From: from, To: upTo}}})
	}
	nack(self, 2, 3)
	if want := []syncwire.Trailer{{Kind: syncwire.Retransmission, Sender: self, Seq: 2}, {Kind: syncwire.Retransmission, Sender: self, Seq: 3}}; !slices.Equal(e.datagram, want) {
		t.Errorf("%+v, want %+v", e.datagram, want)
	}
	nack(self, 9, 9)
	if gone := sentOf[*syncwire.Gone](e); len(e.datagram) > 0 || len(gone) != 1 || gone[0].To != aPeer || gone[0].Superseded {
		t.Errorf("%+v and %+v for a datagram that was never sent", e.datagram, e.messages)
	}
	nack(self+2, 1, 3)
	if len(e.datagram)+len(e.messages) > 0 {
		t.Errorf("%+v and %+v for another sender's datagrams", e.datagram, e.messages)
	}
}

// TestHostRequests has a peer's datagram get lost. The host requests it once it is due, and stores its retransmission.
func TestHostRequests(t *testing.T) {
	e := newHost()
	live := func(seq syncwire.Seq) syncwire.Trailer { return syncwire.Trailer{Sender: aPeer, Seq: seq} }
	e.receives(t, live(1), sessionAt(0, 0))
	e.receives(t, live(3), sessionAt(8, 0))
	if has(e.module, sessionAt(8, 0)) {
		t.Error("a datagram behind a gap does not wait")
	}
	e.now = e.now.Add(ReorderFor)
	e.host.Tick(e.now)
	e.now = e.now.Add(10 * time.Millisecond) // the first NACK is delayed by a random time
	e.host.Tick(e.now)
	if nacks := sentOf[*syncwire.Nack](e); len(nacks) != 1 || nacks[0].To != aPeer || !slices.Equal(nacks[0].Ranges, []syncwire.Range{{From: 2, To: 2}}) {
		t.Fatalf("%+v", e.messages)
	}
	e.receives(t, syncwire.Trailer{Kind: syncwire.Retransmission, Sender: aPeer, Seq: 2}, sessionAt(4, 0))
	for i := range 3 {
		if !has(e.module, sessionAt(4*i, 0)) {
			t.Errorf("session %d is missing", i)
		}
	}
	if e.host.Tick(e.now); e.counts[CountRepaired] != 1 || e.counts[CountLost] != 0 {
		t.Errorf("%+v", e.counts)
	}
}

// TestHostIgnores has datagrams arrive that the module must not get.
func TestHostIgnores(t *testing.T) {
	for _, c := range []struct {
		name    string
		trailer func(e *hostEffects) syncwire.Trailer
		counter Counter
	}{
		{"the host's own", func(e *hostEffects) syncwire.Trailer {
			return syncwire.Trailer{Sender: e.host.Knowledge.Self(), Seq: 1}
		}, CountIgnored},
		{"advertised", func(*hostEffects) syncwire.Trailer { return syncwire.Trailer{Kind: syncwire.Advertised, Sender: aPeer} }, CountIgnored},
		{"a retransmission that another host has requested", func(*hostEffects) syncwire.Trailer {
			return syncwire.Trailer{Kind: syncwire.Retransmission, Sender: aPeer, Seq: 7}
		}, CountIgnored},
	} {
		e := newHost()
		e.host.Explains = func() bool { return true }
		e.receives(t, c.trailer(e), sessionAt(0, 0))
		if n := uint64(len(emitted[SessionIgnored](e))); n != e.counts[CountIgnored] {
			t.Errorf("%s: %d of %d ignored sessions are explained", c.name, n, e.counts[CountIgnored])
		}
		if len(e.module) > 0 || e.counts[c.counter] != 1 {
			t.Errorf("%s: %d sessions are stored, and counted: %v", c.name, len(e.module), e.counts)
		}
	}
}

// TestHostWithoutSequence has a host neither send nor understand control messages, and sends and stores live datagrams at once.
func TestHostWithoutSequence(t *testing.T) {
	e := newHost()
	e.host.SetSequence(false, e.now)
	e.messages = nil
	e.receives(t, syncwire.Trailer{Sender: aPeer, Seq: 5}, sessionAt(0, 0))
	e.says(5, &syncwire.Solicit{To: e.host.Knowledge.Self()})
	e.host.Reported(packedList(t, sessionAt(4, 0)), e.now)
	e.now = e.now.Add(HelloIdle)
	e.host.Tick(e.now)
	if len(e.module) != 1 || e.counts[CountNotUnderstood] != 2 || e.sessions != 1 || len(e.messages) > 0 || e.host.Retransmitter.slots != nil {
		t.Errorf("%d sessions are stored and %d sent; %v; %+v", len(e.module), e.sessions, e.counts, e.messages)
	}
	e.host.Polled(ModuleCounters{Complete: true, Packets: 9}, e.now)
	if _, recreated := e.host.Polled(ModuleCounters{Complete: true, Packets: 1}, e.now); !recreated || e.host.Progress().Phase != PhaseSettled {
		t.Errorf("recreated: %v, then %v", recreated, e.host.Progress().Phase)
	}
	e.host.SetSequence(true, e.now)
	e.host.Tick(e.now)
	if hellos := sentOf[*syncwire.Hello](e); len(hellos) != 1 || !hellos[0].Asks {
		t.Errorf("%+v", e.messages)
	}
}

// TestHostLate has the module report something while a datagram of more sessions waits in the socket than may be looked up at a time.
// The sessions that may not be looked up are dropped only if a full sync brings them, and only the sender's datagrams are looked up.
func TestHostLate(t *testing.T) {
	const n = MaxLookups + 100
	numbered := syncwire.Trailer{Sender: aPeer, Seq: 1}.Append(nil)
	for _, c := range []struct {
		name     string
		sequence bool
		trailer  []byte
		stored   int
		doubts   int
	}{
		{"numbered", true, numbered, MaxLookups, 1},
		{"of an upstream joold", true, nil, n, 0},
		{"numbered, but the host does not use the numbers", false, numbered, n, 0},
	} {
		e := newHost(sessionAt(0, 0))
		e.host.SetSequence(c.sequence, e.now)
		e.host.reported = e.now.Add(-time.Minute)
		before := e.host.Knowledge.Doubts()
		records := sessionsOfMasks(n, time.Minute)
		e.host.Received(peerAddress, packedList(t, records...), c.trailer, MuchWaiting, e.now)
		own := e.module[records[0].Key()]
		if doubts := e.host.Knowledge.Doubts() - before; len(e.module) != c.stored || doubts != c.doubts || Idle(&own, ttl) != 0 {
			t.Errorf("%s: %d sessions are stored, want %d; the vector is forgotten %d times, want %d; the own record has been idle for %d ms",
				c.name, len(e.module), c.stored, doubts, c.doubts, Idle(&own, ttl))
		}
		lookups := e.lookups
		e.host.Received(otherAddress, packedList(t, sessionAt(8000, 0)), syncwire.Trailer{Sender: aPeer + 2, Seq: 1}.Append(nil), 0, e.now)
		if e.lookups != lookups || !has(e.module, sessionAt(8000, 0)) {
			t.Errorf("%s: another sender's datagram, which has not waited, is looked up, or not stored", c.name)
		}
	}
}

// TestLateWithoutSequence has a host stop using sequence numbers while datagrams that have waited in the socket are buffered behind a
// gap. No full sync would bring the sessions that may not be looked up, so that all are stored.
func TestLateWithoutSequence(t *testing.T) {
	const n = MaxLookups + 100
	e := newHost()
	records := sessionsOfMasks(n, time.Minute)
	for i, seq := range []syncwire.Seq{1, 3} {
		half := records[i*n/2 : (i+1)*n/2]
		e.host.Received(peerAddress, packedList(t, half...), syncwire.Trailer{Sender: aPeer, Seq: seq}.Append(nil), MuchWaiting, e.now)
	}
	e.host.reported = e.now
	e.host.lookups = lookups{window: e.now, n: MaxLookups}
	if e.host.SetSequence(false, e.now); len(e.module) != n {
		t.Errorf("%d sessions are stored, want %d", len(e.module), n)
	}
}

// TestHelloBack has peers send HELLOs. The host answers the first one of a peer, and those that ask, soon.
func TestHelloBack(t *testing.T) {
	e := newHost()
	e.host.Tick(e.now)
	for _, c := range []struct {
		name    string
		asks    bool
		answers int
	}{{"the first", false, 1}, {"the second", false, 0}, {"one that asks", true, 1}} {
		e.messages = nil
		e.says(0, &syncwire.Hello{Asks: c.asks, Sync: syncwire.SyncYes, NextIn: 10, Settings: ttl})
		e.now = e.now.Add(HelloBack)
		e.host.Tick(e.now)
		if got := len(sentOf[*syncwire.Hello](e)); got != c.answers {
			t.Errorf("%s: %d HELLOs, want %d", c.name, got, c.answers)
		}
	}
}
