package worker

import (
	"testing"
	"time"

	"joolctl/replication"
	"joolctl/syncwire"
)

// TestPeerIsBack cuts two hosts off from each other while both report sessions. Each becomes alone. When they hear each other
// again, they compare their tables.
func TestPeerIsBack(t *testing.T) {
	t.Parallel()
	first, second := inStep(t)
	both := []*host{first, second}
	for _, h := range both {
		h.lossy(100)
	}
	for i, h := range both {
		h.report(sessionsAt(1000*(1+i), 1)...)
		h.silence(replication.AbsentAfter + time.Second)
		h.alone()
	}
	for _, h := range both {
		h.lossy(0)
	}
	become(t, first, second)
	wantEqual(t, first, second)
	for _, h := range both {
		h.complete()
	}
}

// TestLostWhileAway makes a peer report sessions while the standby does not receive its datagrams. A full sync brings them. The
// standby does not request retransmissions, because only a full sync removes older mappings that collide with such sessions.
func TestLostWhileAway(t *testing.T) {
	t.Parallel()
	active, standby := inStep(t)
	standby.lossy(100)
	const datagrams = 5
	for i := range datagrams {
		active.report(sessionsAt(1000+100*i, 10)...)
		eventually(t, "the sessions are sent", func() bool { return active.counters.Ledger().Sent == uint64(10*(i+1)) })
	}
	standby.silence(replication.AbsentAfter + time.Second)
	standby.alone()
	standby.lossy(0)
	become(t, active, standby)
	standby.complete()
	if n := standby.counters.Losses().NetworkLost; n != datagrams {
		t.Errorf("%d datagrams are lost, want %d", n, datagrams)
	}
	if n := active.counters.Ledger().Retransmitted; n != 0 {
		t.Errorf("%d sessions were retransmitted", n)
	}
}

// TestAwayForAMoment makes a peer silent for less than replication.AbsentAfter. The host starts no full sync, and does not count
// missing datagrams of the peer as lost.
func TestAwayForAMoment(t *testing.T) {
	t.Parallel()
	_, second := inStep(t)
	second.silence(replication.AbsentAfter - 5*time.Second)
	heard := second.Peers()[0].LastHeard
	eventually(t, "a HELLO", func() bool { return second.Peers()[0].LastHeard.After(heard) })
	s := second.Sync()
	if s.Why != "" || s.Last.Why != replication.CauseStart {
		t.Errorf("%+v, the last full sync %+v", s, *s.Last)
	}
	second.onThread(func(p *pumps) {
		for _, known := range p.host.Peers.All() {
			if !known.Greeted() {
				t.Errorf("%+v", known)
			}
		}
	})
}

// inStep returns two hosts with the same sessions, both of which are complete.
func inStep(t *testing.T) (first, second *host) {
	t.Helper()
	bed := newTestbed(t, 2)
	first, second = bed.standby(0, sessionsAt(0, 100)...), bed.standby(1)
	first.start()
	second.start()
	first.synced()
	second.synced()
	become(t, first, second)
	first.complete()
	second.complete()
	return first, second
}

// complete waits until the host is complete.
func (h *host) complete() {
	h.t.Helper()
	within(h.t, 2*patience, "the host is complete", func() bool { s := h.Sync(); return s.Synced == syncwire.SyncYes && s.complete() })
}

// silence changes a worker's peers as if it had last heard them so long ago.
func (h *host) silence(d time.Duration) {
	h.t.Helper()
	h.onThread(func(p *pumps) {
		now := time.Now()
		for _, known := range p.host.Peers.All() {
			known.LastHeard = now.Add(-d)
		}
		p.publishPeers()
		p.wake(now)
	})
}
