package worker

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/joolnl"
	"joolctl/replication"
	"joolctl/syncwire"
	"joolctl/worker/workertest"
)

// stats returns a module's counters.
func stats(packets, sessions, reported uint64) *joolnl.Stats {
	s := new(joolnl.Stats)
	s.Set(joolnl.StatPacketsRcvd, packets)
	s.Set(joolnl.StatSessionsRcvd, sessions)
	s.Set(joolnl.StatSessionsSent, reported)
	return s
}

// TestDropsShow increases the module's counter of dropped sessions. The worker shows the drops in its state and its losses.
func TestDropsShow(t *testing.T) {
	h := newTestbed(t, 2).host(0)
	h.instance.Stats = map[int]uint64{78: 5} // JSTAT_JOOLD_SSS_ENOSPC
	h.start()
	if s := h.Sync(); s.Answered.IsZero() || !s.KernelDropped.IsZero() {
		t.Errorf("at the start: answered %v, dropped %v", s.Answered, s.KernelDropped)
	}
	h.instance.Set(func(i *workertest.Instance) { i.Stats = map[int]uint64{78: 12} })
	eventually(t, "the drops show", func() bool { return !h.Sync().KernelDropped.IsZero() })
	if n := h.counters.Losses().KernelDropped; n != 7 {
		t.Errorf("%d dropped, want 7", n)
	}
}

// TestRecreatedInstanceResetsCounters recreates an instance. The worker does not compare its counters with those of the deleted
// instance, even if only one of them has decreased.
func TestRecreatedInstanceResetsCounters(t *testing.T) {
	for _, test := range []struct {
		name      string
		received6 uint64 // by the instance, later
		broken    int
	}{
		{"recreated", 3, 0},
		{"another program writes", 1000, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newTestbed(t, 2).host(0).start()
			h.onThread(func(p *pumps) {
				now := time.Now().Add(time.Hour)
				for i, received6 := range []uint64{1000, 1000, test.received6, test.received6, test.received6, test.received6, test.received6} {
					s := stats(100, 1000, 500)
					s.Set(joolnl.StatReceived6, received6)
					if i > 1 {
						s.Set(joolnl.StatPacketsRcvd, 107)
					}
					p.kernelSays(*s, now.Add(time.Duration(i)*replication.AuditEvery))
				}
			})
			if broken := h.Sync().Broken; len(broken) != test.broken {
				t.Errorf("%q, want %d", broken, test.broken)
			}
		})
	}
}

// TestLedgerBalances reports sessions that are coalesced and refreshed: the ledger accounts for each of them.
func TestLedgerBalances(t *testing.T) {
	h := newTestbed(t, 2).host(0)
	h.current.RefreshPeriod = 20 * time.Millisecond
	h.start()
	for range 5 {
		for first := range 4 {
			h.instance.Multicast(entries(t, jool4115, 30*first, 36)) // the lists overlap
		}
	}
	eventually(t, "the ledger accounts for all sessions", func() bool {
		l := h.counters.Ledger()
		return l.Reported == 5*4*36 && l.Coalesced > 0 && l.Refreshed > 0 && l.Reported-l.Coalesced+l.Refreshed == l.Sent+l.Unsent
	})
	if broken := h.Sync().Broken; len(broken) > 0 {
		t.Errorf("%q", broken)
	}
}

// TestWayInBalances sends live, duplicate, advertised, own, buffered and upstream datagrams: the ledger accounts for all of their
// sessions.
func TestWayInBalances(t *testing.T) {
	bed := newTestbed(t, 2)
	s := bed.peer(0)
	h := bed.standby(1)
	h.start().alone()
	self := h.running.host.Knowledge.Self()
	list := func(first, n int) []byte { return packed(t, sessionsAt(first, n)...) }
	trailer := func(entries []byte, kind syncwire.Kind, from syncwire.ID, seq syncwire.Seq) {
		s.send(syncwire.Trailer{Kind: kind, Sender: from, Seq: seq}.Append(entries))
	}
	trailer(list(0, 3), syncwire.Live, 77, 1)
	trailer(list(0, 3), syncwire.Live, 77, 1)        // a duplicate
	trailer(list(10, 4), syncwire.Advertised, 77, 1) // a full sync would bring these sessions
	trailer(list(20, 5), syncwire.Live, self, 1)     // with the host's own sender number
	trailer(list(30, 6), syncwire.Live, 77, 3)       // buffered behind a gap
	trailer(list(40, 7), syncwire.Live, 78, 1)       // another sender replaces 77 at this address
	s.send(entries(t, jool419, 50, 8))               // an upstream joold of another version
	eventually(t, "all datagrams are processed", func() (rest bool) {
		h.onThread(func(p *pumps) {
			rest = p.w.counters.Ledger().Received == 36
		})
		return rest
	})
	l := h.counters.Ledger()
	want := Ledger{Received: 36, Ignored: 3 + 4 + 5 + 6, Translated: 8, Given: 3 + 7 + 8}
	if diff := cmp.Diff(want, l); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	h.accounted()
}
