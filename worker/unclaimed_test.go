package worker

import (
	"testing"
	"time"

	"joolctl/replication"
	"joolctl/syncwire"
)

// TestUnclaimed has a full sync store sessions of a peer that is gone soon after. The host's generation rises unless a
// HELLO was heard by which all of the sessions had a position.
func TestUnclaimed(t *testing.T) {
	const never = -1
	for _, c := range []struct {
		name  string
		hello time.Duration // when the peer says HELLO after the full sync; never: it does not
		last  syncwire.Seq  // of that HELLO; the host has received 5
		gone  bool          // another peer, soon after the full sync
		want  uint32        // by how much the generation rises
	}{
		{"it dies at once", never, 0, false, 1},
		{"its module may not have reported them", replication.ReportedWithin - time.Second, 5, false, 1},
		{"all have a position", replication.ReportedWithin + time.Second, 5, false, 0},
		{"the host lacks live datagrams", replication.ReportedWithin + time.Second, 9, false, 1},
		{"it may have some from a peer that has not reported them", replication.ReportedWithin + time.Second, 5, true, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			drive(t, jool4115, func(d *driven) {
				now := time.Now()
				d.resync.finish(now)
				from := d.peers.Heard(group6, 0x10f, now)
				from.Stream.Start(6)
				says := func(last syncwire.Seq, at time.Time) {
					d.peers.Heard(group6, from.ID, at)
					from.Stream.ExpectUpTo(last, at, d.deliverFn)
					d.helloFrom(from, &syncwire.Hello{Sync: syncwire.SyncYes, Generation: 1, Settings: ttl, NextIn: 1}, last, at)
				}
				says(5, now)
				at := syncwire.Position{Generation: 1, Seq: 5}
				d.knowledge.Merge([]syncwire.Component{{Origin: from.ID, Known: true, Complete: at, Highest: at}}, d.knowledge.Doubts(), now)
				if c.gone {
					other := d.peers.Heard(group4, 0x20f, now)
					other.Stream.Start(1)
					d.helloFrom(other, &syncwire.Hello{Sync: syncwire.SyncYes, Settings: ttl, NextIn: 1}, 0, now)
				}
				d.knowledge.Stores(from.ID, now)
				d.look(now)
				d.peers.Heard(group6, from.ID, now.Add(3*time.Second))
				d.look(now.Add(4 * time.Second)) // the other peer is gone
				if c.hello != never {
					now = now.Add(c.hello)
					says(c.last, now)
					d.look(now)
				}
				before := d.knowledge.Position().Generation
				d.look(from.LiveUntil().Add(-1))
				if d.knowledge.Position().Generation != before {
					t.Error("the generation rises while the peer is there")
				}
				for range 2 {
					d.look(from.LiveUntil().Add(1))
				}
				if rises := d.knowledge.Position().Generation - before; rises != c.want {
					t.Errorf("the generation rises by %d, want %d", rises, c.want)
				}
			})
		})
	}
}

// TestDoubtfulEnd has an END say that the sender's table may lack sessions of other origins.
func TestDoubtfulEnd(t *testing.T) {
	drive(t, jool4115, func(d *driven) {
		now := time.Now()
		d.resync.finish(now)
		from := d.peers.Heard(group6, 0x10f, now)
		at := syncwire.Position{Generation: 1, Seq: 5}
		d.resync.in = &incoming{id: 5, from: from, base: now, Assembly: replication.NewAssembly(39),
			vector: []syncwire.Component{{Origin: 0x99, Known: true, Complete: at, Highest: at}, {Origin: from.ID, Known: true, Complete: at, Highest: at}}}
		d.resync.enter(collecting, now, now)
		d.resync.end(&syncwire.End{Resync: 5, Sessions: 39, Bulks: 1, Doubtful: true}, from, now)
		if v := d.resync.in.vector; len(v) != 1 || v[0].Origin != from.ID {
			t.Errorf("%+v", v)
		}
		d.resync.finish(now)
	})
}
