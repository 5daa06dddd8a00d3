package worker

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"joolctl/syncwire"
)

// TestPeerMoves has a worker go on from another address, and then another worker from that one.
func TestPeerMoves(t *testing.T) {
	var p peers
	now := time.Unix(1_000_000, 0)
	first, second := netip.MustParseAddr("fd64::1"), netip.MustParseAddr("fd65::1")
	from := p.named(p.heard(first, now), 7)
	p.update(from, func() { from.Sync, from.Sessions = syncwire.SyncYes, 100 })
	from.stream.take(syncwire.Live, 10, nil, now, func([]byte) {})

	later := now.Add(time.Second)
	from = p.named(p.heard(second, later), 7)
	want := []Peer{{Address: second, LastHeard: later, ID: 7, Sync: syncwire.SyncYes, Sessions: 100}}
	addresses := cmpopts.EquateComparable(netip.Addr{})
	if diff := cmp.Diff(want, p.list(), addresses); diff != "" {
		t.Errorf("peers (-want +got):\n%s", diff)
	}
	from.stream.take(syncwire.Live, 13, nil, later, func([]byte) {})
	from.stream.giveUp(later, func([]byte) {})
	if n := len(from.stream.missing); n != 2 {
		t.Errorf("%d datagrams are missing of those sent while it moved, want 2", n)
	}
	if again := p.named(p.heard(second, later), 7); again != from {
		t.Error("it isn't the same peer when it is heard again")
	}

	other := p.named(p.heard(second, later), 8)
	if other.stream.started || other.Sync != syncwire.SyncNo || p.withID(7) != nil {
		t.Errorf("another worker at the same address: %+v", other.Peer)
	}
}
