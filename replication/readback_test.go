package replication

import (
	"testing"

	"joolctl/session"
)

// TestReadBack has a live datagram open a mapping after the own table was read for a full sync. The module refuses in silence the
// session of the full sync whose mask is taken then. The host finds it missing when it reads the table back.
func TestReadBack(t *testing.T) {
	h := newReceiverHost()
	table := []session.Record{sessionAt(4, 0), taken(0, 0)}
	h.begins(5, len(table))
	h.run()
	opened := sessionAt(0, 0)
	h.module[opened.Key()] = opened
	h.bulk(5, 0, table)
	h.ends(5, len(table))
	h.run()
	if last := h.last(); last.Injected != 2 || last.Collisions != 1 {
		t.Errorf("%d sessions are injected, and %d collide: %+v", last.Injected, last.Collisions, last)
	}
}
