package worker

import (
	"testing"
	"time"

	"joolctl/syncwire"
)

// TestPeerIsBack cuts two hosts off from each other while both gain sessions that no
// datagram tells of. Each knows that it is alone then, and once they hear each other
// again they compare their tables, though not a datagram is missing.
func TestPeerIsBack(t *testing.T) {
	t.Parallel()
	a, b := hosts(t)
	first, second := newStandby(t, jool4115, a, sessionsAt(0, 100)...), newStandby(t, jool4115, b)
	both := []*host{first, second}
	first.start()
	second.start()
	for _, h := range both {
		h.synced()
	}
	become(t, first, second)
	for _, h := range both {
		h.lossy(100)
	}
	for i, h := range both {
		h.instance.Sessions.Put(sessionsAt(1000*(1+i), 1)...)
		h.silence(aliveFor + time.Second)
		h.alone()
	}
	for _, h := range both {
		h.lossy(0)
	}
	become(t, first, second)
	wantEqual(t, first, second)
	for _, h := range both {
		h.synced()
		if l := h.counters.Losses(); l.NetworkLost != 0 {
			t.Errorf("%d datagrams are lost", l.NetworkLost)
		}
	}
}

// TestAwayForAMoment: a peer that was not heard for a shorter time is no reason to
// compare.
func TestAwayForAMoment(t *testing.T) {
	t.Parallel()
	a, b := hosts(t)
	first, second := newStandby(t, jool4115, a, sessionsAt(0, 100)...), newStandby(t, jool4115, b)
	first.start()
	second.start()
	first.synced()
	before := second.synced()
	second.silence(aliveFor - 5*time.Second)
	heard := second.Peers()[0].LastHeard
	eventually(t, "a HELLO", func() bool { return second.Peers()[0].LastHeard.After(heard) })
	if s := second.Sync(); s.Synced != syncwire.SyncYes || s.Phase != "" || s.Why != "" || *s.Last != before {
		t.Errorf("%+v", s)
	}
}

// silence has a worker believe that it has not heard any peer for so long.
func (h *host) silence(d time.Duration) {
	h.t.Helper()
	h.onThread(func(p *pumps) {
		now := time.Now()
		for _, known := range p.w.peers.byAddress {
			p.w.peers.update(known, func() { known.LastHeard = now.Add(-d) })
		}
		p.wake(now)
	})
}
