package worker

import (
	"testing"
	"time"

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
			r.why, r.due = "a peer appeared", now
			r.tick(now)
			if r.phase != c.want {
				t.Errorf("%s: %v", c.name, r.phase)
			}
		})
	}
}
