package replication

import (
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
		sent     int
	}{
		{"renewed just now", sessionAt(0, 0), false, 1},
		{"renewed after the start", sessionAt(0, 9*time.Second), false, 1},
		{"renewed before the start", sessionAt(0, 11*time.Second), false, 0},
		{"a FIN after the start, which renews nothing", halfClosed(1, ttl, 11_000), false, 1},
		{"renewed before the start, the table is complete", sessionAt(0, 11*time.Second), true, 1},
	} {
		e := newHost()
		e.host.incarnate()
		if c.complete {
			e.host.Receiver.sync = syncwire.SyncYes
		}
		e.now = e.now.Add(10 * time.Second)
		e.host.Reported(packedList(t, c.report), e.now)
		if e.sessions != c.sent || e.counts[CountCoalesced] != uint64(1-c.sent) {
			t.Errorf("%s: %d sent, %d not sent, want %d to be sent", c.name, e.sessions, e.counts[CountCoalesced], c.sent)
		}
	}
}
