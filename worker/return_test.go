package worker

import (
	"testing"
	"time"

	"joolctl/joolnl"
	"joolctl/syncwire"
)

// TestBothStart has two with different tables start at the same time.
func TestBothStart(t *testing.T) {
	t.Parallel()
	a, b := hosts(t)
	const n = 1000
	first, second := newStandby(t, jool4115, a, sessionsAt(0, n)...), newStandby(t, jool4115, b, sessionsAt(n, n)...)
	first.start()
	second.start()
	first.synced()
	second.synced()
	wantEqual(t, first, second)
}

// TestReturnIsInAnswer: who asks before it has been given something back gets it with all the rest.
func TestReturnIsInAnswer(t *testing.T) {
	a := answers{p: &pumps{w: &Worker{}}}
	now := time.Unix(1_000_000, 0)
	for _, id := range []syncwire.ID{7, 8} {
		a.giveBack(&peer{stream: stream{sender: id}}, table{}, now)
	}
	if at := a.tick(now); !at.Equal(now.Add(askFirst)) {
		t.Errorf("a peer that is about to ask is given something back at %v", at)
	}
	a.solicited(7, now)
	if len(a.returns) != 1 || a.returns[0].audience[0] != 8 {
		t.Errorf("%d returns are left", len(a.returns))
	}
}

// TestAloneWaits: one that is alone doesn't compare with a peer that has just been
// sent its whole table, and has not taken it in yet.
func TestAloneWaits(t *testing.T) {
	a, b := hosts(t)
	s := newScripted(t, a)
	h := newStandby(t, jool4115, b, sessionsAt(0, 100)...)
	h.start()
	h.alone()
	_, m := control[*syncwire.Hello](s.plain)
	s.say(&syncwire.Hello{Asks: true, Settings: ttl})
	s.say(&syncwire.Solicit{To: m.Sender})
	control[*syncwire.End](s.plain)
	var end time.Time
	eventually(t, "it knows that the peer has been sent all", func() bool {
		h.onThread(func(p *pumps) {
			for _, known := range p.w.peers.byAddress {
				end = known.served
			}
		})
		return !end.IsZero()
	})
	for _, c := range []struct {
		name string
		at   time.Duration
		sync syncwire.Sync
		want phase
	}{
		{"the peer is busy with it", 20 * time.Second, syncwire.SyncNo, settled},
		{"the peer is busy with it for too long", takenWithin, syncwire.SyncNo, asking},
		{"the peer is alone", 20 * time.Second, syncwire.SyncAlone, asking},
	} {
		h.onThread(func(p *pumps) {
			r, now := &p.resync, end.Add(c.at)
			before := *r
			defer func() { *r, p.answers.current = before, nil }()
			p.answers.current = nil // long over
			for _, known := range p.w.peers.byAddress {
				known.LastHeard, known.Sync = now, c.sync
			}
			r.why, r.due = whyAppeared, now
			r.tick(now)
			if r.phase != c.want {
				t.Errorf("%s: %v", c.name, r.phase)
			}
		})
	}
}

// TestReturn has an asker that knows more, and some of it better.
func TestReturn(t *testing.T) {
	t.Parallel()
	a, b := hosts(t)
	common := sessionsAt(0, 1000)
	newer := []joolnl.Record{sessionAt(800, 0), kind(sessionAt(804, 0), joolnl.TCP, joolnl.Trans, joolnl.TimerTransitory, 0)}
	active, returning := newStandby(t, jool4115, a, common...), newStandby(t, jool4115, b, common[500:]...)
	returning.instance.Sessions.Put(sessionsAt(5000, 700)...)
	returning.instance.Sessions.Put(newer...)
	active.start().alone()
	returning.start()
	got := returning.synced()
	become(t, active, returning)
	if got.Injected != 500 || got.Had != 498 || got.GaveBack != 700+2 || got.Collisions != 0 {
		t.Errorf("%+v", got)
	}
	eventually(t, "the one that was alone knows that it is complete", func() bool { return active.Sync().Synced == syncwire.SyncYes })
}

// TestRestartAmongThree has the active's worker away while sessions are opened: it
// asks one peer when it is back, and both come to know of them.
func TestRestartAmongThree(t *testing.T) {
	t.Parallel()
	names := lan(t, 3)
	active, second, third := newStandby(t, jool4115, names[0], sessionsAt(0, 500)...), newStandby(t, jool4115, names[1]), newStandby(t, jool4115, names[2])
	for _, h := range []*host{active, second, third} {
		h.start()
	}
	for _, h := range []*host{active, second, third} {
		h.synced()
	}
	active.stop()
	active.instance.Sessions.Put(sessionsAt(500, 3)...) // too few to be seen in the tables' sizes
	active.init(standbySpec(names[0]))
	active.start()
	active.synced()
	become(t, active, second)
	become(t, active, third)
	wantEqual(t, active, second, third)
}

// TestReturnToEverybody: who has not been compared with is not complete by what is
// returned to all.
func TestReturnToEverybody(t *testing.T) {
	t.Parallel()
	a, b := hosts(t)
	s := newScripted(t, a)
	h := newStandby(t, jool4115, b)
	h.start()
	to := s.asked(100)
	s.say(&syncwire.Begin{Resync: 9, Why: syncwire.WhyReturn, Sessions: 10, Settings: ttl})
	s.bulk(9, 0, sessionsAt(0, 10))
	s.end(9, 10)
	eventually(t, "it has what was returned", func() bool { return h.instance.Sessions.Len() == 10 })
	if h.Sync().Synced == syncwire.SyncYes && h.Sync().Phase == "" {
		t.Error("it holds itself to be complete")
	}
	s.begin(to, 5, 100)
	for i := range bulksOf(100) {
		s.bulk(5, i, sessionsAt(0, 100))
	}
	s.end(5, 100)
	eventually(t, "it has everything", func() bool { return h.instance.Sessions.Len() == 100 })
}
