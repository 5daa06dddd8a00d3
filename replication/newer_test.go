package replication

import (
	"net/netip"
	"testing"
	"time"

	"joolctl/session"
	"joolctl/syncwire"
)

// These tests have the module's table change during a full sync, which must not set sessions back.

// TestPeerRenewsMapping has a peer's live datagram renew an own mapping that is older in the tables than the mapping of a full sync.
func TestPeerRenewsMapping(t *testing.T) {
	const n = 100
	stale := kind(sessionAt(0, 0), session.TCP, session.Established, session.TimerEstablished, 20*time.Minute)
	renewed := kind(sessionAt(0, 0), session.TCP, session.Established, session.TimerEstablished, 0)
	other := kind(taken(0, 0), session.TCP, session.Established, session.TimerEstablished, 10*time.Minute)
	h := newReceiverHost(stale)
	h.begins(5, n)
	h.run()
	h.full = true // live datagrams do not wait
	h.Receiver.Queue(packedList(t, renewed), false)
	h.Receiver.host.Deliver(packedList(t, renewed), false, h.now)
	h.bringsAll(5, append([]session.Record{other}, sessionsAt(1, n-1)...))
	if r := h.module[renewed.Key()]; !r.Same(&renewed) {
		t.Errorf("the session that a live datagram has renewed is gone: %v removed", h.removed)
	}
}

// bringsAll delivers all BULKs of a full sync, and its end.
func (h *receiverHost) bringsAll(id uint32, records []session.Record) {
	for i := range bulksOf(uint32(len(records))) {
		h.bulk(id, i, records)
	}
	h.ends(id, len(records))
	h.run()
}

// TestPeerRenewsFreed has a peer's live datagram bring a newer version of a session after the BIB entry in its way was removed.
func TestPeerRenewsFreed(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	older := tcpRecord(1, 100_000)
	var r Reported
	var b Backlog
	r.Start()
	i := NewInjection(now, &r, &b)
	m := maskOf(&older)
	i.Free([]Mask{m}, map[Mask]bibHost{m: hostOf(&older)})
	i.Add([]session.Record{older})
	newer := older
	newer.SetExpires(7_200_000)
	r.AddList(packedList(t, newer))
	if i.Batch(nil, session.FormatOf(40), ttl.Pool6, holding{older.Key(): true}, now.Add(time.Second)); i.Given != 0 {
		t.Error("the record of the full sync overwrites the newer one")
	}
}

// keepsAll is a module that has newer records of all sessions.
type keepsAll struct{ lookups int }

func (k *keepsAll) Keeps(*session.Record) bool { k.lookups++; return true }
func (k *keepsAll) Emit(Event)                 {}

// TestLookupsBounded checks that a batch ends after as many lookups as a message has sessions, because other work waits.
func TestLookupsBounded(t *testing.T) {
	var r Reported
	var b Backlog
	r.Start()
	r.Miss()
	now := time.Unix(1_000_000, 0)
	i := NewInjection(now, &r, &b)
	var all []session.Record
	for n := range 10 * session.MaxPerMessage {
		all = append(all, tcpRecord(n+1, 100_000))
	}
	i.Add(all)
	k := &keepsAll{}
	if i.Batch(nil, session.FormatOf(40), netip.Prefix{}, k, now); k.lookups != session.MaxPerMessage || i.Given != 0 {
		t.Errorf("%d lookups and %d sessions in a batch", k.lookups, i.Given)
	}
}

// dropping is a module that has dropped a report before a certain reading of its counters.
type dropping struct {
	*receiverHost
	reads, dropAt int
}

func (d *dropping) ReadCounters(now time.Time) {
	if d.reads++; d.reads == d.dropAt {
		d.ReportsLost(now)
	}
}

// TestDroppedBeforeRemoval has the module drop the report of a session between the reading of the own table and the comparison. The session's
// mapping is in the way of a session of the full sync.
func TestDroppedBeforeRemoval(t *testing.T) {
	const n = 100
	stale := kind(sessionAt(0, 0), session.TCP, session.Established, session.TimerEstablished, 20*time.Minute)
	renewed := kind(sessionAt(0, 0), session.TCP, session.Established, session.TimerEstablished, 0)
	other := kind(taken(0, 0), session.TCP, session.Established, session.TimerEstablished, 10*time.Minute)
	h := newReceiverHost(stale)
	d := &dropping{h, 0, 1}
	h.Receiver.host = d
	h.begins(5, n)
	h.run()
	h.module[renewed.Key()] = renewed
	h.bringsAll(5, append([]session.Record{other}, sessionsAt(1, n-1)...))
	if r := h.module[renewed.Key()]; !r.Same(&renewed) {
		t.Errorf("a session in use is gone: %v removed; the counters were read %d times", h.removed, d.reads)
	}
}

// TestDroppedDuringInjection has the module drop the report of a session's new state while the full sync injects other sessions.
func TestDroppedDuringInjection(t *testing.T) {
	const n = 200
	brings := sessionsAt(0, n)
	h := newReceiverHost()
	d := &dropping{h, 0, 3}
	h.Receiver.host = d
	h.begins(5, n)
	h.run()
	for i := range bulksOf(n) {
		h.bulk(5, i, brings)
	}
	h.ends(5, n)
	for len(h.posted) > 0 && !has(h.module, brings[0]) {
		fn := h.posted[0]
		h.posted = h.posted[1:]
		fn()
	}
	last := brings[n-4]
	if has(h.module, last) {
		t.Fatal("all sessions were injected at once")
	}
	closing := kind(last, session.TCP, session.V4FinRcv, session.TimerEstablished, 0)
	h.module[last.Key()] = closing
	h.run()
	if r := h.module[last.Key()]; r.State() != session.V4FinRcv {
		t.Errorf("the older record of the full sync is in the module: %v; the counters were read %d times", r.State(), d.reads)
	}
}

// TestListensUntilGreeted has a host start whose only peer is heard by a live datagram, shortly before the host ends listening.
func TestListensUntilGreeted(t *testing.T) {
	h := newReceiverHost()
	h.peers.ForgetAll()
	h.Listen(CauseStart, h.now)
	start := h.now
	for h.now.Sub(start) < 5*time.Second {
		if h.now.Sub(start) == 2950*time.Millisecond {
			h.peers.Heard(peerAddress, 0x10f, h.now).Stream.Receive(syncwire.Live, 1000, nil, h.now, func([]byte) {})
		}
		h.Tick(h.now)
		h.run()
		if h.Sync() != syncwire.SyncNo {
			t.Fatalf("after %v: %v with an empty table, phase %v", h.now.Sub(start), h.Sync(), h.Phase())
		}
		h.now = h.now.Add(10 * time.Millisecond)
	}
}

// TestKeepsTolerance has a record of a full sync look younger than the own one, because its BULK was under way for 50 ms. The own record has a
// later state, which a FIN has led to, and a FIN does not renew a session.
func TestKeepsTolerance(t *testing.T) {
	e := newHost()
	own := kind(sessionAt(0, 0), session.TCP, session.V4FinRcv, session.TimerEstablished, 1050*time.Millisecond)
	theirs := kind(sessionAt(0, 0), session.TCP, session.Established, session.TimerEstablished, time.Second)
	if !e.host.Keeps(&own, &theirs) {
		t.Error("the state before the FIN replaces the state after it")
	}
}
