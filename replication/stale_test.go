package replication

import (
	"net/netip"
	"testing"
	"time"

	"joolctl/session"
	"joolctl/syncwire"
)

// TestStale has the module report sessions that were last renewed at different times, before and after the table is complete.
func TestStale(t *testing.T) {
	for _, c := range []struct {
		name     string
		report   session.Record
		complete bool
		peer     syncwire.ID // 0: one that does not number what it sends
		sent     int
	}{
		{"renewed just now", sessionAt(0, 0), false, 7, 1},
		{"renewed after the start", sessionAt(0, 9*time.Second), false, 7, 1},
		{"renewed before the start", sessionAt(0, 11*time.Second), false, 7, 0},
		{"a FIN after the start, which renews nothing", halfClosed(1, ttl, 11_000), false, 7, 1},
		{"renewed before the start, the table is complete", sessionAt(0, 11*time.Second), true, 7, 1},
		{"renewed before the start, no peer requests a full sync", sessionAt(0, 11*time.Second), false, 0, 1},
	} {
		e := newHost()
		e.host.incarnate()
		if c.complete {
			e.host.Receiver.sync = syncwire.SyncYes
		}
		e.now = e.now.Add(10 * time.Second)
		e.host.Peers.Heard(netip.MustParseAddr("fe80::7"), c.peer, e.now)
		e.host.Reported(packedList(t, c.report), e.now)
		if e.sessions != c.sent || e.counts[CountCoalesced] != uint64(1-c.sent) {
			t.Errorf("%s: %d sent, %d not sent, want %d to be sent", c.name, e.sessions, e.counts[CountCoalesced], c.sent)
		}
	}
}
