package worker

import (
	"testing"
	"time"

	"joolctl/replication"
	"joolctl/syncwire"
)

// sendsUntilEnd reads what the worker sends until END, and returns how many BULKs and BEGINs of that resync came before.
func (d *driven) sendsUntilEnd(id uint32) (bulks, begins int) {
	for {
		m, err := syncwire.Parse(d.buf[:d.read(d.group)])
		if err != nil {
			continue
		}
		switch b := m.Body.(type) {
		case *syncwire.Bulk:
			if b.Resync == id {
				bulks++
			}
		case *syncwire.Begin:
			if b.Resync == id {
				begins++
			}
		case *syncwire.End:
			if b.Resync == id {
				return bulks, begins
			}
		}
	}
}

// sends has the worker send a resync up to END. It calls at once, when so many BULKs have been sent.
func (d *driven) sends(c *answer, now time.Time, after uint32, at func(now time.Time)) time.Time {
	d.answers.current = c
	d.answers.start(now)
	for called := false; d.answers.current != nil || c.Pending(); {
		now = now.Add(replication.TransferTick)
		if !called && c.Sent() >= after {
			called = true
			at(now)
		}
		d.answers.tick(now)
	}
	return now
}

// TestSenderGoesOn has a peer ask for BULKs, or for the whole table, while a worker sends it. No BULK that comes anyway
// is repeated, or the whole table would be sent twice.
func TestSenderGoesOn(t *testing.T) {
	const bulks, sent, by = 200, 20, 0x10f
	for _, c := range []struct {
		name  string
		asks  func(a *answers, c *answer, now time.Time)
		want  func(sent int) int // BULKs
		begin int
	}{
		{"for none", func(*answers, *answer, time.Time) {}, func(int) int { return bulks }, 1},
		{"for all", func(a *answers, c *answer, now time.Time) {
			a.missed(&syncwire.Nack{Resync: c.id, Ranges: []syncwire.Range{{From: 0, To: bulks - 1}}}, by, now)
		}, func(sent int) int { return bulks + sent }, 1},
		{"for all, twice", func(a *answers, c *answer, now time.Time) {
			for range 2 {
				a.missed(&syncwire.Nack{Resync: c.id, Ranges: []syncwire.Range{{From: 0, To: bulks - 1}}}, by, now)
			}
		}, func(sent int) int { return bulks + sent }, 1},
		{"for the last one", func(a *answers, c *answer, now time.Time) {
			a.missed(&syncwire.Nack{Resync: c.id, Ranges: []syncwire.Range{{From: bulks - 1, To: bulks - 1}}}, by, now)
		}, func(int) int { return bulks }, 1},
		{"for the table, since BEGIN is lost", func(a *answers, c *answer, now time.Time) {
			a.solicited(by, now.Add(solicitEvery))
			if !a.begin.IsZero() {
				t.Error("the whole table is to be sent once more")
			}
		}, func(int) int { return bulks }, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			drive(t, jool4115, func(d *driven) {
				now := time.Now()
				a := &answer{why: syncwire.WhyAnswer, audience: []syncwire.ID{by}, table: table{sessionsAt(0, bulks*syncwire.MaxBulk), now}}
				before := 0
				d.sends(a, now, sent, func(now time.Time) {
					before = int(a.Sent())
					c.asks(&d.answers, a, now)
				})
				if got, begins := d.sendsUntilEnd(a.id); got != c.want(before) || begins != c.begin {
					t.Errorf("%d BULKs and %d BEGINs, want %d and %d", got, begins, c.want(before), c.begin)
				}
			})
		})
	}
}

// TestRepeatsAfterTheNext has another resync follow at once. BULKs of the first one are repeated all the same.
func TestRepeatsAfterTheNext(t *testing.T) {
	const by = 0x10f
	drive(t, jool4115, func(d *driven) {
		now := time.Now()
		first := &answer{why: syncwire.WhyAnswer, audience: []syncwire.ID{by}, table: table{sessionsAt(0, 10*syncwire.MaxBulk), now}}
		now = d.sends(first, now, 0, func(time.Time) {})
		d.sendsUntilEnd(first.id)
		d.answers.giveBack(&replication.Peer{PeerInfo: replication.PeerInfo{ID: by, Sync: syncwire.SyncYes}}, table{sessionsAt(0, 10), now}, nil, now)
		d.answers.tick(now)
		second := d.answers.current
		if second == nil || second.why != syncwire.WhyReturn {
			t.Error("the next resync waits")
			return
		}
		for d.answers.current != nil {
			now = now.Add(replication.TransferTick)
			d.answers.tick(now)
		}
		d.sendsUntilEnd(second.id)
		now = now.Add(keepAnswer / 2)
		d.answers.tick(now)
		d.answers.missed(&syncwire.Nack{Resync: first.id, Ranges: []syncwire.Range{{From: 3, To: 4}}}, by, now)
		for range 5 {
			now = now.Add(replication.TransferTick)
			d.answers.tick(now)
		}
		if len(d.answers.kept) != 2 || first.Pending() {
			t.Errorf("%d resyncs are kept, BULKs of the first wait: %v", len(d.answers.kept), first.Pending())
			return
		}
		if got, _ := d.sendsUntilEnd(first.id); got != 2 {
			t.Errorf("%d BULKs are repeated, want 2", got)
		}
		d.answers.tick(now.Add(keepAnswer + time.Second))
		if n := len(d.answers.kept); n > 0 {
			t.Errorf("%d resyncs are kept for too long", n)
		}
	})
}

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
				d.resync.in, d.resync.why, d.resync.tried = in, "start", []syncwire.ID{from.ID}
				d.resync.enter(collecting, now, now.Add(stallFor))
				d.resync.bulk(&syncwire.Bulk{Resync: 1, Index: 0, Records: one}, from, now, now)
				for end := now.Add(10 * time.Second); now.Before(end); now = now.Add(stallFor * 4 / 5) {
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
