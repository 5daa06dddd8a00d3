package worker

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"joolctl/replication"
	"joolctl/syncwire"
)

// TestPeerMoves has a worker go on from another address, and then another worker from that one.
func TestPeerMoves(t *testing.T) {
	var p peers
	now := time.Unix(1_000_000, 0)
	first, second := netip.MustParseAddr("fd64::1"), netip.MustParseAddr("fd65::1")
	from := p.heard(first, 7, now)
	p.update(from, func() { from.Sync, from.Sessions = syncwire.SyncYes, 100 })
	from.stream.Receive(syncwire.Live, 10, nil, now, func([]byte) {})

	later := now.Add(time.Second)
	from = p.heard(second, 7, later)
	want := []Peer{{Address: second, LastHeard: later, ID: 7, Sync: syncwire.SyncYes, Sessions: 100}}
	addresses := cmpopts.EquateComparable(netip.Addr{})
	if diff := cmp.Diff(want, p.list(), addresses); diff != "" {
		t.Errorf("peers (-want +got):\n%s", diff)
	}
	from.stream.Receive(syncwire.Live, 13, nil, later, func([]byte) {})
	nack, _ := from.stream.Tick(later.Add(replication.ReorderFor), func([]byte) {})
	if diff := cmp.Diff([]syncwire.Range{{From: 11, To: 12}}, nack); diff != "" {
		t.Errorf("requested of the datagrams sent while it moved (-want +got):\n%s", diff)
	}
	if again := p.heard(second, 7, later); again != from {
		t.Error("it isn't the same peer when it is heard again")
	}

	other := p.heard(second, 8, later)
	if other.stream.Started() || other.Sync != syncwire.SyncNo || from.live(later) || len(p.list()) != 1 {
		t.Errorf("another worker at the same address: %+v", other.Peer)
	}
	if p.heard(second, 9, later); p.withID(7) != nil || p.withID(8).live(later) {
		t.Error("more than one is kept that has been replaced")
	}
}

// TestOneAddress has two workers send from one address. Each has its own sequence, and both are live.
func TestOneAddress(t *testing.T) {
	t.Parallel()
	s, h := beside(t)
	other := &scripted{plain: s.plain, id: 78}
	for i := range 20 {
		if i == 10 {
			s.last++ // one is lost
		}
		s.live(sessionAt(4*i, 0))
		other.live(sessionAt(10_000+4*i, 0))
	}
	for {
		if n, _ := control[*syncwire.Nack](s.plain); n.To == s.id {
			break
		}
	}
	eventually(t, "all others are stored", func() bool { return h.instance.Sessions.Len() == 40 })
	var live []syncwire.ID
	h.onThread(func(p *pumps) {
		for _, known := range p.w.peers.all(time.Now()) {
			live = append(live, known.ID)
		}
	})
	if diff := cmp.Diff([]syncwire.ID{77, 78}, live); diff != "" || len(h.Peers()) != 2 {
		t.Errorf("live peers, of %d (-want +got):\n%s", len(h.Peers()), diff)
	}
}
