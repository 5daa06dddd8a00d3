package replication

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"joolctl/syncwire"
)

// TestPeerMoves has a peer send from another address, and then another peer from that one.
func TestPeerMoves(t *testing.T) {
	p := NewPeers(PeersConfig{})
	now := time.Unix(1_000_000, 0)
	first, second := netip.MustParseAddr("fd64::1"), netip.MustParseAddr("fd65::1")
	from := p.Heard(first, 7, now)
	from.Sync, from.Sessions = syncwire.SyncYes, 100
	from.Stream.Receive(syncwire.Live, 10, nil, now, func([]byte) {})

	later := now.Add(time.Second)
	from = p.Heard(second, 7, later)
	want := []PeerInfo{{Address: second, LastHeard: later, LiveUntil: later.Add(HelloIdle + LateHello), ID: 7, Sync: syncwire.SyncYes, Sessions: 100}}
	addresses := cmpopts.EquateComparable(netip.Addr{})
	if diff := cmp.Diff(want, p.AppendInfo(nil), addresses); diff != "" {
		t.Errorf("peers (-want +got):\n%s", diff)
	}
	from.Stream.Receive(syncwire.Live, 13, nil, later, func([]byte) {})
	nack, _ := from.Stream.Tick(later.Add(ReorderFor), func([]byte) {})
	if diff := cmp.Diff([]syncwire.Range{{From: 11, To: 12}}, nack); diff != "" {
		t.Errorf("requested of the datagrams sent while it moved (-want +got):\n%s", diff)
	}
	if again := p.Heard(second, 7, later); again != from {
		t.Error("it isn't the same peer when it is heard again")
	}

	other := p.Heard(second, 8, later)
	if other.Stream.Started() || other.Sync != syncwire.SyncNo || from.Live(later) || len(p.AppendInfo(nil)) != 1 {
		t.Errorf("another worker at the same address: %+v", other.PeerInfo)
	}
	if p.Heard(second, 9, later); p.WithID(7) != nil || p.WithID(8).Live(later) {
		t.Error("more than one is kept that has been replaced")
	}
}

// TestPeersAreBounded has a hundred hosts send. Those that were silent for longest are forgotten.
func TestPeersAreBounded(t *testing.T) {
	p := NewPeers(PeersConfig{})
	now := time.Unix(1_000_000, 0)
	at := func(i int) netip.Addr { return netip.AddrFrom16([16]byte{0xfd, 15: byte(i)}) }
	for i := range 100 {
		p.Heard(at(i), 0, now.Add(time.Duration(i)))
	}
	infos := p.AppendInfo(nil)
	if len(infos) != MaxPeers {
		t.Fatalf("%d peers", len(infos))
	}
	for i, info := range infos {
		if want := at(100 - MaxPeers + i); info.Address != want {
			t.Errorf("peer %d is %v, want %v", i, info.Address, want)
		}
	}
	p.Heard(infos[0].Address, 0, now.Add(200))
	p.Heard(netip.MustParseAddr("192.0.2.1"), 0, now.Add(201))
	again := p.AppendInfo(nil)
	if len(again) != MaxPeers || !again[0].Address.Is4() || again[1].Address != infos[0].Address || again[2].Address != infos[2].Address {
		t.Errorf("the peer that was silent for longest is still there: %v", again[:3])
	}
}

// TestDroppedSessions has a peer be forgotten while datagrams of it are buffered behind a gap.
func TestDroppedSessions(t *testing.T) {
	dropped := uint64(0)
	p := NewPeers(PeersConfig{Dropped: func(entries []byte) { dropped += uint64(len(entries) / 40) }})
	now := time.Unix(1_000_000, 0)
	from := p.Heard(netip.MustParseAddr("fd64::1"), 7, now)
	entry := make([]byte, 40)
	binary.NativeEndian.PutUint16(entry, uint16(len(entry)))
	for _, seq := range []syncwire.Seq{1, 3} {
		from.Stream.Receive(syncwire.Live, seq, entry, now, func([]byte) {})
	}
	if p.ForgetAll(); dropped != 1 || len(p.All()) != 0 {
		t.Errorf("%d sessions dropped, %d peers left", dropped, len(p.All()))
	}
}

// TestPeerAbsent has a peer be silent, and then miss datagrams of it. They count as lost after a long silence, and after a shorter
// one if the table has received sessions of other senders meanwhile.
func TestPeerAbsent(t *testing.T) {
	const none = -1
	for _, c := range []struct {
		name   string
		silent time.Duration
		others time.Duration // when sessions of another sender came, after the peer was last heard; none: they did not
		lost   bool
	}{
		{"nobody else has sent", 20 * time.Second, none, false},
		{"another sender has sent", 20 * time.Second, 10 * time.Second, true},
		{"another sender has sent before", 20 * time.Second, -time.Second, false},
		{"the peer was live all the time", 2 * time.Second, time.Second, false},
		{"a long silence", AbsentAfter + 1, none, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, address, now := NewPeers(PeersConfig{}), netip.MustParseAddr("fd64::1"), time.Unix(1_000_000, 0)
			from := p.Heard(address, 7, now)
			from.Greet(&syncwire.Hello{NextIn: 1}, new(syncwire.Settings), now)
			for _, seq := range []syncwire.Seq{10, 12} {
				from.Stream.Receive(syncwire.Live, seq, nil, now, func([]byte) {})
			}
			from.Stream.Tick(now.Add(ReorderFor), func([]byte) {}) // 11 is missing
			p.Stored(7, now)
			if c.others != none {
				p.Stored(8, now.Add(c.others))
			}
			now = now.Add(c.silent)
			p.Stored(7, now)
			p.Heard(address, 7, now).Stream.ExpectUpTo(15, now, func([]byte) {})
			want := uint64(0)
			if c.lost {
				want = 4 // 11, 13, 14 and 15
			}
			if lost := from.Stream.Lost(); lost != want {
				t.Errorf("%d datagrams are lost, want %d", lost, want)
			}
		})
	}
}

// TestHeardLate has datagrams of a peer wait in the socket while the host is stopped. The peer was heard when they arrived.
func TestHeardLate(t *testing.T) {
	e := newHost()
	arrived := e.now
	e.now = e.now.Add(20 * time.Second)
	const id = 7
	live := func() bool { return e.host.Peers.WithID(id).Live(e.now) }
	e.host.Received(peerAddress, packedList(t, sessionAt(0, 0)), syncwire.Trailer{Sender: id, Seq: 1}.Append(nil), e.now.Sub(arrived), e.now)
	if live() {
		t.Error("a peer is live because of a datagram that has waited")
	}
	hello := syncwire.Message{Sender: id, Last: 1, Body: &syncwire.Hello{NextIn: 10}}.Append(nil)
	for _, c := range []struct {
		came time.Time
		live bool
	}{{arrived.Add(time.Second), false}, {e.now.Add(-time.Second), true}, {arrived.Add(2 * time.Second), true}} {
		if e.host.Message(peerAddress, hello, c.came, e.now); live() != c.live {
			t.Errorf("after a HELLO that has waited for %v: live: %v", e.now.Sub(c.came), live())
		}
	}
}

// TestAbsentOrigin hears an origin for the first time, of which a full sync has brought sessions. Datagrams that it has sent
// since count as lost if it was dead then, and the table has received sessions of others after that.
func TestAbsentOrigin(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for _, c := range []struct {
		name string
		dead time.Time
		want uint64
	}{
		{"it was not dead", time.Time{}, 0},
		{"it died before the full sync", now.Add(-10 * time.Second), 5},
		{"it died after the full sync", now.Add(2 * time.Second), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := NewPeers(PeersConfig{Expected: func(syncwire.ID) (syncwire.Seq, time.Time, bool) { return 11, c.dead, true }})
			p.Stored(0, now)
			from := p.Heard(netip.MustParseAddr("fd64::1"), 7, now.Add(3*time.Second))
			from.Stream.ExpectUpTo(15, now.Add(3*time.Second), func([]byte) {})
			if lost := from.Stream.Lost(); lost != c.want {
				t.Errorf("%d datagrams are lost, want %d", lost, c.want)
			}
		})
	}
}
