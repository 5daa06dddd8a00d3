package replication

import (
	"errors"
	"testing"

	"joolctl/session"
	"joolctl/syncwire"
)

// TestReadBack has a live datagram open a mapping after the own table was read for a full sync. The module refuses in silence the
// session of the full sync whose mask is taken then. The host finds it missing when it reads the table back. If it cannot read the table,
// it is not complete until another full sync has compared the tables.
func TestReadBack(t *testing.T) {
	for _, c := range []struct {
		name       string
		err        error
		collisions int
		then       syncwire.Sync
	}{
		{"a session is missing", nil, 1, syncwire.SyncYes},
		{"the table cannot be read", errors.New("no memory"), 0, syncwire.SyncNo},
	} {
		for _, cause := range []string{CauseLacks, CauseVerification} {
			h := newReceiverHost()
			h.hello(syncwire.Hello{Sync: syncwire.SyncYes, Generation: 1, NextIn: 10}, 0)
			if cause == CauseVerification {
				h.knowledge.Merge(h.whole(), h.knowledge.Doubts(), h.now)
			}
			h.Set(cause)
			table := []session.Record{sessionAt(4, 0), taken(0, 0)}
			receive := func(id uint32, meanwhile func()) {
				h.tried = []syncwire.ID{h.peer.ID}
				h.Begin(&syncwire.Begin{FullSync: id, Sessions: 2, Settings: ttl, Audience: []syncwire.ID{h.knowledge.Self()}, Vector: h.whole()}, h.peer, h.now, h.now)
				h.run()
				meanwhile()
				h.bulk(id, 0, table)
				h.ends(id, len(table))
				h.run()
				h.Judge(h.now)
			}
			receive(5, func() {
				opened := sessionAt(0, 0)
				h.module[opened.Key()] = opened
				h.unreadable = c.err
			})
			if last := h.last(); last.Injected != 2 || last.Collisions != c.collisions {
				t.Errorf("%s, %s: %d sessions are injected, and %d collide: %+v", c.name, cause, last.Injected, last.Collisions, last)
			}
			if h.sync != c.then || c.then == syncwire.SyncNo && h.Cause != CauseLacks {
				t.Errorf("%s, %s: the host says %v, and wants a full sync because of %q", c.name, cause, h.sync, h.Cause)
			}
			h.unreadable = nil
			if receive(6, func() {}); h.sync != syncwire.SyncYes {
				t.Errorf("%s, %s: the host says %v after another full sync: %+v", c.name, cause, h.sync, h.reasons)
			}
		}
	}
}
