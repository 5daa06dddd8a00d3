package replication

import (
	"testing"
	"time"

	"joolctl/session"
	"joolctl/syncwire"
)

// TestSuperseded has a retransmission arrive behind a datagram that was sent after it, and that has one of its sessions. A
// datagram before the retransmission does not count.
func TestSuperseded(t *testing.T) {
	list := func(n ...int) (entries []byte) {
		for _, i := range n {
			r := sessionAt(i, 0)
			var err error
			if entries, err = session.Packed40.AppendRecord(entries, &r, ttl.Pool6); err != nil {
				t.Fatal(err)
			}
		}
		return entries
	}
	now := time.Unix(1_000_000, 0)
	s := NewStream(nil)
	var superseded []bool
	s.Retransmitted = func(entries []byte) {
		for range session.Packed40.CountList(entries) {
			r := session.Packed40.Record(entries)
			superseded = append(superseded, s.Superseded(r.Key()))
			entries = entries[session.Packed40.EntryLen():]
		}
	}
	ignore := func([]byte) {}
	s.Receive(syncwire.Live, 1, list(0), now, ignore)
	s.Receive(syncwire.Live, 3, list(4), now, ignore) // 2 is missing
	s.Tick(now.Add(ReorderFor), ignore)
	s.Receive(syncwire.Live, 4, list(8), now, ignore)
	if s.Receive(syncwire.Retransmission, 2, list(0, 4, 8, 12), now, ignore); len(superseded) != 4 || superseded[0] || !superseded[1] || !superseded[2] || superseded[3] {
		t.Errorf("superseded: %v", superseded)
	}
	if s.Receive(syncwire.Live, 5, list(0), now, ignore); s.later != nil {
		t.Error("sessions are remembered although no datagram is missing")
	}
}
