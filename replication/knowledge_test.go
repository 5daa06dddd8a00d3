package replication

import (
	"net/netip"
	"testing"
	"time"

	"joolctl/syncwire"
)

// TestBestIsTheOneThatTheReasonConcerns checks the choice of a peer for a host that lacks sessions of two peers. The
// pause applies to the peer that the reason concerns, so the host asks that peer regardless of the sizes of the tables,
// unless the other peer is complete.
func TestBestIsTheOneThatTheReasonConcerns(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for _, c := range []struct {
		larger syncwire.Sync // the verdict of the peer that holds more sessions
		want   int
	}{{syncwire.SyncNo, 0}, {syncwire.SyncYes, 1}} {
		peers := NewPeers(PeersConfig{})
		k := NewKnowledge(3, peers)
		k.Longest = time.Hour
		known := []*Peer{peers.Heard(netip.MustParseAddr("fe80::1"), 1, now), peers.Heard(netip.MustParseAddr("fe80::2"), 2, now)}
		for i, p := range known {
			p.Stream.Start(1)
			h := syncwire.Hello{Sessions: uint32(100 * (i + 1)), Generation: 1, Settings: ttl, NextIn: 10}
			if i == 1 {
				h.Sync = c.larger
			}
			p.Greet(&h, &ttl, now)
		}
		k.Advance(now)
		k.Compare(peers.Live(now), now)
		if best := k.Best(nil, known[0], now); best != known[c.want] {
			t.Errorf("the larger one says %v: %v is asked", c.larger, best.Address)
		}
	}
}
