package worker

import (
	"testing"

	"joolctl/session"
	"joolctl/syncwire"
)

// TestBothStart starts two hosts with different tables at the same time.
func TestBothStart(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, 2)
	const n = 1000
	first, second := bed.standby(0, sessionsAt(0, n)...), bed.standby(1, sessionsAt(n, n)...)
	first.start()
	second.start()
	first.synced()
	second.synced()
	wantEqual(t, first, second)
}

// TestReturn starts a host that has sessions which its peer lacks, and newer records of sessions that both have. After the full
// sync from the peer, the host sends them back.
func TestReturn(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, 2)
	common := sessionsAt(0, 1000)
	newer := []session.Record{sessionAt(800, 0), kind(sessionAt(804, 0), session.TCP, session.Trans, session.TimerTransitory, 0)}
	active, returning := bed.standby(0, common...), bed.standby(1, common[500:]...)
	returning.instance.Sessions.Put(sessionsAt(5000, 700)...)
	returning.instance.Sessions.Put(newer...)
	active.start().alone()
	returning.start()
	got := returning.synced()
	become(t, active, returning)
	if got.Injected != 500 || got.Had != 498 || got.GaveBack != 700+2 || got.Collisions != 0 {
		t.Errorf("%+v", got)
	}
	eventually(t, "the host that was alone is complete", func() bool { return active.Sync().Synced == syncwire.SyncYes })
}

// TestRestartAmongThree stops the active host's worker while sessions are opened. The next worker requests a full sync from one
// peer; afterwards both peers have the sessions.
func TestRestartAmongThree(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, 3)
	active, second, third := bed.standby(0, sessionsAt(0, 500)...), bed.standby(1), bed.standby(2)
	for _, h := range []*host{active, second, third} {
		h.start()
	}
	for _, h := range []*host{active, second, third} {
		h.synced()
	}
	active.stop()
	active.instance.Sessions.Put(sessionsAt(500, 3)...) // too few for the comparison of table sizes
	active.restart()
	active.synced()
	become(t, active, second)
	become(t, active, third)
	wantEqual(t, active, second, third)
}
