package worker

import (
	"slices"
	"testing"
	"time"

	"joolctl/replication/sim"
	"joolctl/session"
)

// TestBothStart starts two hosts with different tables at the same time.
func TestBothStart(t *testing.T) {
	const n = 1000
	v := newVirtual(t, tables(sessionsAt(0, n), sessionsAt(n, n)))
	v.hosts[0].synced()
	v.hosts[1].synced()
	v.alike()
}

// TestReturn starts a host that has sessions which its peer lacks, and newer records of sessions that both have. After the full
// sync from the peer, the host sends them back.
func TestReturn(t *testing.T) {
	common := sessionsAt(0, 1000)
	newer := []session.Record{sessionAt(800, 0), kind(sessionAt(804, 0), session.TCP, session.Trans, session.TimerTransitory, 0)}
	const later = 10 * time.Second
	v := newVirtual(t, tables(common, slices.Concat(common[500:], sessionsAt(5000, 700), newer)), sim.Fault{Kind: sim.Kill, For: later, Host: 1})
	active, returning := v.hosts[0], v.hosts[1]
	active.alone()
	v.Run(later)
	got := returning.synced()
	v.alike()
	if got.Injected != 500 || got.Had != 498 || got.GaveBack != 700+2 || got.Collisions != 0 {
		t.Errorf("%+v", got)
	}
}
