package worker

import (
	"testing"
	"time"

	"joolctl/replication"
	"joolctl/replication/sim"
)

// inStep returns two hosts with the same sessions, both of which are complete.
func inStep(t *testing.T) (v *virtual, first, second *virtualHost) {
	t.Helper()
	v = newVirtual(t, tables(sessionsAt(0, 100), nil))
	v.alike()
	return v, v.hosts[0], v.hosts[1]
}

// TestPeerIsBack cuts two hosts off from each other while both report sessions. Each becomes alone. When they hear each other
// again, they compare their tables.
func TestPeerIsBack(t *testing.T) {
	v, _, _ := inStep(t)
	cut := &sim.Impairment{From: -1, To: -1, Cut: true}
	v.Network.Begin(cut)
	for i, h := range v.hosts {
		h.report(sessionsAt(1000*(1+i), 1)...)
	}
	v.pass(replication.AbsentAfter + time.Second)
	for _, h := range v.hosts {
		h.alone()
	}
	v.Network.End(cut)
	v.alike()
	if n := v.hosts[0].Module.Len(); n != 102 {
		t.Errorf("%d sessions, want 102", n)
	}
}

// TestLostWhileAway makes a peer report sessions while the standby does not receive its datagrams. A full sync brings them. The
// standby does not request retransmissions, because only a full sync removes older mappings that collide with such sessions.
func TestLostWhileAway(t *testing.T) {
	v, active, standby := inStep(t)
	deaf := &sim.Impairment{From: 0, To: 1, Cut: true}
	v.Network.Begin(deaf)
	const datagrams = 5
	for i := range datagrams {
		active.report(sessionsAt(1000+100*i, 10)...)
		v.until("the sessions are sent", func() bool { return active.counters().Ledger().Sent == uint64(10*(i+1)) })
	}
	v.pass(replication.AbsentAfter + time.Second)
	standby.alone()
	v.Network.End(deaf)
	v.until("the standby has the sessions", func() bool { return standby.Module.Len() == 100+10*datagrams })
	v.alike()
	if n := standby.counters().Losses().NetworkLost; n != datagrams {
		t.Errorf("%d datagrams are lost, want %d", n, datagrams)
	}
	if n := active.counters().Ledger().Retransmitted; n != 0 {
		t.Errorf("%d sessions were retransmitted", n)
	}
}

// TestAwayForAMoment makes a peer silent for less than replication.AbsentAfter. The host starts no full sync.
func TestAwayForAMoment(t *testing.T) {
	v, _, second := inStep(t)
	cut := &sim.Impairment{From: -1, To: -1, Cut: true}
	v.Network.Begin(cut)
	v.pass(replication.AbsentAfter - 5*time.Second)
	back := v.Clock.Now()
	v.Network.End(cut)
	v.until("a HELLO", func() bool { return second.worker().host.Peers.All()[0].LastHeard.After(back) })
	v.pass(time.Second)
	if s := second.Sync(); s.Why != "" || s.Last.Why != replication.CauseStart {
		t.Errorf("%+v, the last full sync %+v", s, *s.Last)
	}
	for _, known := range second.worker().host.Peers.All() {
		if !known.Greeted() {
			t.Errorf("%+v", known)
		}
	}
}
