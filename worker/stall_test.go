package worker

import (
	"testing"
	"time"

	"joolctl/nsthread"
	"joolctl/replication/sim"
	"joolctl/session"
)

// TestReportedAgain stops the thread of the active worker while a session is reported. The worker then sends the session again, so
// that the standby learns its true time left.
func TestReportedAgain(t *testing.T) {
	const at = 10 * time.Second
	for _, c := range []struct {
		name  string
		still time.Duration
		told  bool
	}{
		{"the thread is stopped", nsthread.StallDelay + 200*time.Millisecond, true},
		{"the thread is busy", nsthread.StallDelay / 2, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := newVirtual(t, tables(nil, nil), sim.Fault{Kind: sim.Stall, At: at, For: c.still})
			active, standby := v.hosts[0], v.hosts[1]
			v.alike()
			fresh, later := sessionAt(1, 0), sessionAt(2, 0)
			stale := fresh
			stale.SetExpires(fresh.Expires() - 7000) // the true time left
			v.Run(at)
			active.put(stale)
			active.Module.Report(packed(t, fresh))
			left := func(s session.Record) int64 {
				r, _ := standby.get(s)
				return int64(r.Expires())
			}
			if c.told {
				v.until("the standby knows how much time is left", func() bool {
					l := left(fresh)
					return l > 0 && l <= int64(stale.Expires())
				})
			}
			v.Run(at + c.still)
			active.report(later)
			v.until("the standby has the later session", func() bool { return left(later) > 0 })
			if l := left(fresh); !c.told && l < int64(stale.Expires())+1000 {
				t.Errorf("the session was sent again: %d ms are left", l)
			}
			l := active.counters().Ledger()
			if told := l.Refreshed > 0; told != c.told || l.Reported+l.Refreshed != l.Coalesced+l.Sent+l.Unsent {
				t.Errorf("the ledger: %+v", l)
			}
		})
	}
}
