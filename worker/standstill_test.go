package worker

import (
	"testing"
	"time"

	"joolctl/nsthread"
	"joolctl/session"
)

// TestToldAgain has a session reported before its worker's thread stands still: the
// standby comes to know how much time it has left.
func TestToldAgain(t *testing.T) {
	for _, c := range []struct {
		name  string
		still time.Duration
		told  bool
	}{
		{"it stood still", nsthread.Standstill + 200*time.Millisecond, true},
		{"it was busy", 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a, b := hosts(t)
			active, standby := newStandby(t, jool4115, a), newStandby(t, jool4115, b)
			active.start()
			standby.start()
			active.synced()
			standby.synced()
			fresh, later := sessionAt(1, 0), sessionAt(2, 0)
			stale := fresh
			stale.SetExpires(fresh.Expires() - 7000) // what is left of it by now
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
			eventually(t, "what comes later is there", func() bool { return left(later) > 0 })
			if l := left(fresh); !c.told && l < int64(stale.Expires())+1000 {
				t.Errorf("it was told again: %d ms are left", l)
			}
			l := active.counters.Ledger()
			if told := l.Refreshed > 0; told != c.told || l.Reported+l.Refreshed != l.Coalesced+l.Sent+l.Unsent {
				t.Errorf("the ledger: %+v", l)
			}
		})
	}
}

// entriesOf are records as the module reports them.
func entriesOf(t *testing.T, records ...session.Record) (list []byte) {
	t.Helper()
	for _, r := range records {
		var err error
		if list, err = jool4115.Format().AppendRecord(list, &r, ttl.Pool6); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

func TestWaiting(t *testing.T) {
	f := jool4115.Format()
	first, second := sessionAt(1, 0), sessionAt(2, 0)
	for _, c := range []struct {
		name string
		do   func(w *waiting)
		want []session.Key
	}{
		{"nothing has stood still", func(w *waiting) {
			w.reported(f, entriesOf(t, first))
			w.passedOn(f, entriesOf(t, first), nsthread.Standstill)
		}, nil},
		{"reported after a standstill", func(w *waiting) {
			w.suspect(7 * time.Second)
			list := entriesOf(t, first)
			w.reported(f, list)
			w.reported(f, nil)
			if left := f.Expires(list); left != first.Expires()-7000 {
				t.Errorf("%d ms are left of %d", left, first.Expires())
			}
		}, []session.Key{first.Key()}},
		{"a standstill while it was passed on, and the next behind it", func(w *waiting) {
			w.reported(f, entriesOf(t, first))
			w.passedOn(f, entriesOf(t, first), 2*time.Second)
			w.reported(f, entriesOf(t, second))
		}, []session.Key{first.Key(), second.Key()}},
		{"reported again while the table is read", func(w *waiting) {
			w.suspect(time.Second)
			w.reported(f, entriesOf(t, first, second))
			w.tell()
			w.reported(f, entriesOf(t, first))
		}, []session.Key{second.Key()}},
		{"two standstills", func(w *waiting) {
			w.suspect(time.Second)
			w.reported(f, entriesOf(t, first))
			before := w.tell()
			w.suspect(time.Second)
			w.reported(f, entriesOf(t, second))
			w.tell()
			if len(before) > 0 {
				t.Error("the first reading of the table still has something to tell")
			}
		}, []session.Key{first.Key(), second.Key()}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var w waiting
			c.do(&w)
			w.tell()
			for _, key := range c.want {
				if _, is := w.telling[key]; !is {
					t.Errorf("not told again: %v", key)
				}
			}
			if len(w.telling) != len(c.want) {
				t.Errorf("%d are told again, want %d", len(w.telling), len(c.want))
			}
		})
	}
}

// TestWaitingIsBounded: a flood behind a standstill costs no more memory than this.
func TestWaitingIsBounded(t *testing.T) {
	var w waiting
	w.suspect(time.Second)
	w.reported(jool4115.Format(), entriesOf(t, sessionsAt(0, maxWaited+100)...))
	if len(w.noted) != maxWaited {
		t.Errorf("%d sessions are noted", len(w.noted))
	}
}
