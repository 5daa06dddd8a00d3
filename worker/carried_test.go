package worker

import (
	"testing"
	"time"

	"joolctl/syncwire"
)

// TestBothStart has two with different tables start at the same time: each asks
// the other, and what one could give back goes with the rest.
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
	time.Sleep(2 * askFirst) // nothing more must come
	for _, h := range []*host{first, second} {
		if r := h.synced(); r.Why != "start" || r.Injected != n {
			t.Errorf("%+v", r)
		}
	}
}

// TestCarried: what goes to a peer, or went, need not be given back to it.
func TestCarried(t *testing.T) {
	began := time.Unix(1_000_000, 0)
	answering := &answer{why: syncwire.WhyAnswer, audience: []syncwire.ID{7}}
	for _, c := range []struct {
		name    string
		id      syncwire.ID
		served  time.Time
		current *answer
		want    bool
	}{
		{"it was sent nothing", 7, time.Time{}, nil, false},
		{"it was sent all before", 7, began.Add(-time.Second), nil, false},
		{"it was sent all meanwhile", 7, began.Add(time.Second), nil, true},
		{"it is being sent all", 7, time.Time{}, answering, true},
		{"another one is being sent all", 8, time.Time{}, answering, false},
		{"all is offered to everybody, who need not take it", 7, time.Time{}, &answer{why: syncwire.WhyAnswer}, false},
		{"it is being given something back", 7, time.Time{}, &answer{why: syncwire.WhyReturn, audience: []syncwire.ID{7}}, false},
	} {
		a := answers{current: c.current}
		p := &peer{served: c.served, stream: stream{sender: c.id}}
		if got := a.carried(p, began); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// TestReturnIsInAnswer: who asks before it has been given something back gets it with all the rest.
func TestReturnIsInAnswer(t *testing.T) {
	var a answers
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
