package worker

import (
	"testing"
	"time"

	"joolctl/nsthread"
	"joolctl/session"
)

// TestReportedAgain stops the thread of the active worker after a session was reported. The worker then sends the session again, so
// that the standby learns its true time left.
func TestReportedAgain(t *testing.T) {
	for _, c := range []struct {
		name  string
		still time.Duration
		told  bool
	}{
		{"the thread is stopped", nsthread.StallDelay + 200*time.Millisecond, true},
		{"the thread is busy", 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bed := newTestbed(t, 2)
			active, standby := bed.standby(0), bed.standby(1)
			active.start()
			standby.start()
			active.synced()
			standby.synced()
			fresh, later := sessionAt(1, 0), sessionAt(2, 0)
			stale := fresh
			stale.SetExpires(fresh.Expires() - 7000) // the true time left
			active.onThread(func(*pumps) {
				active.report(fresh)
				active.instance.Sessions.Put(stale)
				<-time.After(c.still)
			})
			left := func(s session.Record) int64 {
				r, _ := standby.instance.Sessions.Get(s.Key())
				return int64(r.Expires())
			}
			if c.told {
				eventually(t, "the standby knows how much time is left", func() bool {
					l := left(fresh)
					return l > 0 && l <= int64(stale.Expires())
				})
			}
			active.report(later)
			eventually(t, "the standby has the later session", func() bool { return left(later) > 0 })
			if l := left(fresh); !c.told && l < int64(stale.Expires())+1000 {
				t.Errorf("the session was sent again: %d ms are left", l)
			}
			l := active.counters.Ledger()
			if told := l.Refreshed > 0; told != c.told || l.Reported+l.Refreshed != l.Coalesced+l.Sent+l.Unsent {
				t.Errorf("the ledger: %+v", l)
			}
		})
	}
}
