package worker

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/joolnl"
	"joolctl/syncwire"
	"joolctl/worker/workertest"
)

// TestBalance calls check with pairs of counters, and compares the difference that the last call reports.
func TestBalance(t *testing.T) {
	for _, test := range []struct {
		name   string
		checks [][2]uint64
		want   int64
	}{
		{"equal", [][2]uint64{{1, 1}, {5, 5}, {5, 5}}, 0},
		{"in flight", [][2]uint64{{4, 9}, {12, 15}, {19, 20}, {23, 23}}, 0},
		{"always the same number in flight", [][2]uint64{{4, 9}, {14, 19}, {24, 29}, {34, 39}, {44, 49}}, 0},
		{"arrived late", [][2]uint64{{4, 9}, {4, 9}, {9, 9}, {9, 9}}, 0},
		{"lasts for one check", [][2]uint64{{4, 9}, {4, 9}}, 0},
		{"lasts", [][2]uint64{{4, 9}, {4, 9}, {4, 9}}, -5},
		{"the other way", [][2]uint64{{9, 4}, {9, 4}, {9, 4}}, 5},
		{"lasts, with a pause", [][2]uint64{{4, 9}, {4, 9}, {4, 9}, {14, 19}}, -5},
		{"grows", [][2]uint64{{9, 8}, {19, 17}, {29, 26}, {39, 35}}, 4},
		{"grows twice", [][2]uint64{{9, 9}, {19, 17}, {29, 26}}, 0},
		{"grows and shrinks", [][2]uint64{{9, 8}, {19, 17}, {29, 28}, {39, 37}, {49, 46}}, 0},
		{"equal again", [][2]uint64{{4, 9}, {4, 9}, {4, 9}, {9, 9}}, 0},
	} {
		var b balance
		got := int64(0)
		for _, c := range test.checks {
			got = b.check(c[0], c[1])
		}
		if got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}

// stats returns a module's counters.
func stats(packets, sessions, reported uint64) *joolnl.Stats {
	s := new(joolnl.Stats)
	s.Set(joolnl.StatPacketsRcvd, packets)
	s.Set(joolnl.StatSessionsRcvd, sessions)
	s.Set(joolnl.StatSessionsSent, reported)
	return s
}

// oldStats returns the counters of a module that counts its sessions, but not joold's packets.
func oldStats() *joolnl.Stats {
	s := new(joolnl.Stats)
	s.Set(joolnl.StatSessions, 5)
	return s
}

func TestAudit(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*audit, *Counters) // after the worker's start
		stats  *joolnl.Stats
		want   string // "": nothing is broken
		lost   uint64 // on netlink
	}{
		{name: "no traffic", change: func(*audit, *Counters) {}, stats: stats(100, 1000, 500)},
		{name: "the module has received and reported everything", change: func(a *audit, c *Counters) {
			a.given.packets, a.given.bytes = 2, 72*40
			c.reported.Add(36)
			c.sentSessions.Add(36)
		}, stats: stats(102, 1072, 536)},
		{name: "the worker loses sessions", change: func(_ *audit, c *Counters) { c.reported.Add(36); c.coalesced.Add(30) }, stats: stats(100, 1000, 536),
			want: "reported - coalesced + refreshed - sent - unsent is 6 sessions, not 0; please report this"},
		{name: "another program writes", change: func(*audit, *Counters) {}, stats: stats(103, 1000, 500),
			want: "KERNEL_SENT_PKTS: JSTAT_JOOLD_PKT_RCVD is 3 packets ahead: another program writes to the instance"},
		{name: "the module drops a request", change: func(a *audit, _ *Counters) { a.given.bytes = 400 }, stats: stats(100, 1008, 500),
			want: "KERNEL_SENT_BYTES: JSTAT_JOOLD_SSS_RCVD is 80 bytes behind: the module did not take them"},
		{name: "reports lost without an overrun", change: func(*audit, *Counters) {}, stats: stats(100, 1000, 510),
			want: "reported: JSTAT_JOOLD_SSS_SENT is 10 sessions ahead: they did not reach us"},
		{name: "reports lost by an overrun", change: func(_ *audit, c *Counters) { c.netlinkOverruns.Add(1) }, stats: stats(100, 1000, 510), lost: 10},
		{name: "reported before the start", change: func(_ *audit, c *Counters) { c.reported.Add(36); c.unsent.Add(36) }, stats: stats(100, 1000, 500)},
		{name: "the instance is recreated", change: func(*audit, *Counters) {}, stats: stats(0, 0, 0)},
		{name: "old module", change: func(*audit, *Counters) {}, stats: oldStats()},
	} {
		t.Run(test.name, func(t *testing.T) {
			var a audit
			var c Counters
			a.check(stats(100, 1000, 500), &c, 40)
			a.check(stats(100, 1000, 500), &c, 40)
			test.change(&a, &c)
			var broken []string
			for range 4 {
				broken = a.check(test.stats, &c, 40)
			}
			if got := strings.Join(broken, "; "); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
			if lost := c.Losses().NetlinkLost; lost != test.lost {
				t.Errorf("%d lost on netlink, want %d", lost, test.lost)
			}
		})
	}
}

// TestDropsShow increases the module's counter of dropped sessions. The worker shows the drops in its state and its losses.
func TestDropsShow(t *testing.T) {
	a, _ := hosts(t)
	h := newHost(t, jool4115, specFor(a, group6))
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

// TestRecreatedInstanceCountsAnew recreates an instance. The worker does not compare its counters with those of the deleted
// instance, even if only one of them has decreased.
func TestRecreatedInstanceCountsAnew(t *testing.T) {
	for _, test := range []struct {
		name      string
		received6 uint64 // by the instance, later
		broken    int
	}{
		{"recreated", 3, 0},
		{"another program writes", 1000, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, _ := hosts(t)
			h := newHost(t, jool4115, specFor(a, group6)).start()
			h.onThread(func(p *pumps) {
				now := time.Now().Add(time.Hour)
				for i, received6 := range []uint64{1000, 1000, test.received6, test.received6, test.received6, test.received6, test.received6} {
					s := stats(100, 1000, 500)
					s.Set(joolnl.StatReceived6, received6)
					if i > 1 {
						s.Set(joolnl.StatPacketsRcvd, 107)
					}
					p.kernelSays(*s, now.Add(time.Duration(i)*auditEvery))
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
	a, _ := hosts(t)
	spec := specFor(a, group6)
	spec.RefreshPeriod = 20 * time.Millisecond
	h := newHost(t, jool4115, spec).start()
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
	a, b := hosts(t)
	s := newScripted(t, a)
	h := newStandby(t, jool4115, b)
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
