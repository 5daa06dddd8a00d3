package worker

import (
	"testing"
	"time"

	"joolctl/replication"
	"joolctl/syncwire"
)

// TestStall lets 10 s pass in which nothing new comes. A worker gives a resync up only if its sender is silent.
func TestStall(t *testing.T) {
	const bulks = 5000
	one := make([]byte, 0, syncwire.MaxBulk*syncwire.RecordLen)
	for _, r := range sessionsAt(0, syncwire.MaxBulk) {
		one = append(one, r[:]...)
	}
	for _, c := range []struct {
		name string
		says func(d *driven, from *replication.Peer, now time.Time)
		want phase
	}{
		{"silence", func(*driven, *replication.Peer, time.Time) {}, settled},
		{"BULKs that have come before", func(d *driven, from *replication.Peer, now time.Time) {
			d.resync.bulk(&syncwire.Bulk{Resync: 1, Index: 0, Records: one}, from, now, now)
		}, collecting},
		{"BULKs too far ahead", func(d *driven, from *replication.Peer, now time.Time) {
			d.resync.bulk(&syncwire.Bulk{Resync: 1, Index: bulks - 2, Records: one}, from, now, now)
		}, collecting},
		{"BULKs of another resync", func(d *driven, from *replication.Peer, now time.Time) {
			d.resync.bulk(&syncwire.Bulk{Resync: 2, Index: 0, Records: one}, from, now, now)
		}, settled},
		{"BEGINs", func(d *driven, from *replication.Peer, now time.Time) {
			d.resync.begin(&syncwire.Begin{Resync: 1, Sessions: bulks * syncwire.MaxBulk, Settings: ttl}, from, now, now)
		}, collecting},
		{"a datagram waits in the socket", func(d *driven, _ *replication.Peer, now time.Time) {
			if err := d.to.Send(d.group, []byte{0, 0}); err != nil {
				panic(err)
			}
			d.wait(d.socket.fd)
		}, collecting},
	} {
		t.Run(c.name, func(t *testing.T) {
			drive(t, jool4115, func(d *driven) {
				now := time.Now()
				from := d.peers.Heard(group6, 0x10f, now)
				in := &incoming{id: 1, from: from, asked: true, Assembly: replication.NewAssembly(bulks * syncwire.MaxBulk), base: now, settings: ttl}
				d.resync.in, d.resync.Cause, d.resync.tried = in, "start", []syncwire.ID{from.ID}
				d.resync.enter(collecting, now, now.Add(replication.StallFor))
				d.resync.bulk(&syncwire.Bulk{Resync: 1, Index: 0, Records: one}, from, now, now)
				for end := now.Add(10 * time.Second); now.Before(end); now = now.Add(replication.StallFor * 4 / 5) {
					c.says(d, from, now)
					d.resync.tick(now)
				}
				if d.resync.phase != c.want {
					t.Errorf("%v, want %v", d.resync.phase, c.want)
				}
				if kept := d.resync.in == in || d.resync.stopped == in; !kept || in.Bulks() != 1 {
					t.Error("what had come is gone")
				}
				d.resync.tick(now.Add(keepStopped))
				if c.want == settled && d.resync.stopped != nil {
					t.Error("what had come is kept for ever")
				}
				d.resync.in, d.resync.phase = nil, settled
				for d.socket.waits() {
					d.fromNetwork()
				}
			})
		})
	}
}

// TestStoppedGoesOn has a sender fall silent in the middle until it is given up. What it goes on with completes what it
// had sent before.
func TestStoppedGoesOn(t *testing.T) {
	const n = 100
	records := sessionsAt(0, n)
	for _, c := range []struct {
		name   string
		goesOn func(s *scripted, to syncwire.ID)
	}{
		{"with BULKs", func(*scripted, syncwire.ID) {}},
		{"with BEGIN", func(s *scripted, to syncwire.ID) { s.begin(to, 5, n) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, h := beside(t)
			to := s.asked(n)
			s.begin(to, 5, n)
			s.bulk(5, 0, records)
			eventually(t, "it receives", func() bool { return h.Sync().Done > 0 })
			h.onThread(func(p *pumps) { p.resync.in.stalls = stalls })
			eventually(t, "it gives up", func() bool { return h.log.count("stopped in the middle") == 1 })
			c.goesOn(s, to)
			for i := 1; i < bulksOf(n); i++ {
				s.bulk(5, i, records)
			}
			s.end(5, n)
			if r := h.synced(); r.Got != n || r.Injected != n || r.Why != "start" {
				t.Errorf("%+v", r)
			}
			if d := differing(records, h.instance.Sessions.Records(), apart); d != "" {
				t.Error(d)
			}
		})
	}
}
