package worker

import (
	"testing"
	"time"

	"joolctl/joolnl"
)

// TestToldAgain has a session reported before its worker's process stands still:
// the standby comes to know how much time it has left.
func TestToldAgain(t *testing.T) {
	for _, c := range []struct {
		name string
		late time.Duration // of the worker's timer
		told bool
	}{
		{"it stood still", 7 * time.Second, true},
		{"it was busy", standstill / 2, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a, b := hosts(t)
			active, standby := newStandby(t, jool4115, a), newStandby(t, jool4115, b)
			active.start()
			standby.start()
			active.synced()
			standby.synced()
			fresh := sessionAt(1, 0)
			stale := fresh
			stale.SetExpires(fresh.Expires() - 7000) // what is left of it by now
			active.onThread(func(p *pumps) {
				active.report(fresh)
				active.instance.Sessions.Put(stale)
				p.timer.Set(time.Now().Add(-c.late))
				p.guard(p.fromKernel)()
			})
			left := func() int64 {
				r, _ := standby.instance.Sessions.Get(fresh.Key())
				return int64(r.Expires())
			}
			if !c.told {
				eventually(t, "the session is there", func() bool { return left() > 0 })
				time.Sleep(100 * time.Millisecond)
				if l := left(); l < int64(stale.Expires())+1000 {
					t.Errorf("it was told again: %d ms are left", l)
				}
				return
			}
			eventually(t, "the standby knows how much time is left", func() bool {
				l := left()
				return l > 0 && l <= int64(stale.Expires())
			})
			if l := active.counters.Ledger(); l.Reported+l.Refreshed != l.Coalesced+l.Sent+l.Unsent {
				t.Errorf("the ledger does not add up: %+v", l)
			}
		})
	}
}

// TestWaitedIsBounded: a flood behind a standstill costs no more memory than this.
func TestWaitedIsBounded(t *testing.T) {
	p := pumps{format: jool4115.Format(), waited: make(map[joolnl.Key]struct{})}
	var entries []byte
	for _, r := range sessionsAt(0, maxWaited+100) {
		entries, _ = p.format.AppendRecord(entries, &r, ttl.Pool6)
	}
	p.noteWaited(entries)
	if len(p.waited) != maxWaited {
		t.Errorf("%d sessions are noted", len(p.waited))
	}
}

// TestToldAgainNotBackwards: what is reported while the table is read is newer than
// that.
func TestToldAgainNotBackwards(t *testing.T) {
	p := pumps{format: jool4115.Format(), telling: make(map[joolnl.Key]struct{})}
	r, other := sessionAt(1, 0), sessionAt(2, 0)
	p.telling[r.Key()], p.telling[other.Key()] = struct{}{}, struct{}{}
	entries, err := p.format.AppendRecord(nil, &r, ttl.Pool6)
	if err != nil {
		t.Fatal(err)
	}
	p.noteWaited(entries)
	if _, is := p.telling[r.Key()]; is || len(p.telling) != 1 || p.waited != nil {
		t.Errorf("still to be told: %d", len(p.telling))
	}
}

// TestWaitedIsAged: until it is told again, what may have waited has waited.
func TestWaitedIsAged(t *testing.T) {
	p := pumps{format: jool4115.Format(), waited: make(map[joolnl.Key]struct{}), waitedFor: 7 * time.Second}
	r := sessionAt(1, 0)
	entries, err := p.format.AppendRecord(nil, &r, ttl.Pool6)
	if err != nil {
		t.Fatal(err)
	}
	p.noteWaited(entries)
	p.noteWaited(nil)
	if left := p.format.Expires(entries); left != r.Expires()-7000 {
		t.Errorf("%d ms are left of %d", left, r.Expires())
	}
}
