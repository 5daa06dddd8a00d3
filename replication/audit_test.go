package replication

import (
	"strings"
	"testing"
	"time"
)

// TestBalance checks pairs of counters one after the other. The last check returns the difference.
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

// TestAudit has counters of the module and of the host change after the start.
func TestAudit(t *testing.T) {
	module := func(packets, stored, reported uint64) ModuleCounters {
		return ModuleCounters{Complete: true, Packets: packets, Stored: stored, Reported: reported}
	}
	for _, c := range []struct {
		name   string
		change func(*Tally)
		module ModuleCounters
		want   string // "": nothing differs
		lost   uint64 // on netlink
	}{
		{name: "no change", change: func(*Tally) {}, module: module(100, 1000, 500)},
		{name: "all are stored and sent", change: func(t *Tally) {
			t.GivenPackets, t.GivenBytes, t.Reported, t.Sent = 2, 72*40, t.Reported+36, 36
		}, module: module(102, 1072, 536)},
		{name: "lost between the report and the network", change: func(t *Tally) { t.Reported, t.Coalesced = t.Reported+36, 30 }, module: module(100, 1000, 536),
			want: "reported - coalesced + refreshed - sent - unsent is 6 sessions, not 0; please report this"},
		{name: "lost between the network and the module", change: func(t *Tally) { t.Received, t.Ignored = t.Received+36, 30 }, module: module(100, 1000, 500),
			want: "received + injected - ignored - untranslated - given is 6 sessions, not 0; please report this"},
		{name: "another program writes", change: func(*Tally) {}, module: module(103, 1000, 500),
			want: "KERNEL_SENT_PKTS: JSTAT_JOOLD_PKT_RCVD is 3 packets ahead: another program writes to the instance"},
		{name: "not stored", change: func(t *Tally) { t.GivenBytes = 400 }, module: module(100, 1008, 500),
			want: "KERNEL_SENT_BYTES: JSTAT_JOOLD_SSS_RCVD is 80 bytes behind: the module did not take them"},
		{name: "lost on netlink", change: func(*Tally) {}, module: module(100, 1000, 510),
			want: "reported: JSTAT_JOOLD_SSS_SENT is 10 sessions ahead: they did not reach us"},
		{name: "lost by an overrun", change: func(t *Tally) { t.Overruns++ }, module: module(100, 1000, 510), lost: 10},
		{name: "reported before the start", change: func(t *Tally) { t.Reported, t.Unsent = t.Reported+36, 36 }, module: module(100, 1000, 500)},
		{name: "another instance", change: func(*Tally) {}, module: module(0, 0, 0)},
		{name: "a module without counters", change: func(*Tally) {}, module: ModuleCounters{Sessions: 5}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var a Audit
			own := Tally{Reported: 7, Received: 9} // a worker before has ended in the middle
			start := own
			now := time.Unix(1_000_000, 0)
			var broken []string
			lost := uint64(0)
			check := func(m ModuleCounters) {
				var more uint64
				now = now.Add(AuditEvery)
				broken, more = a.Check(m, own, 40, now)
				lost += more
			}
			check(module(100, 1000, 500))
			check(module(100, 1000, 500))
			c.change(&own)
			for range 4 {
				check(c.module)
			}
			if got := strings.Join(broken, "; "); got != c.want || lost != c.lost {
				t.Errorf("%q, and %d lost on netlink; want %q, and %d", got, lost, c.want, c.lost)
			}
			if again, _ := a.Check(module(0, 0, 0), start, 40, now.Add(AuditEvery-1)); strings.Join(again, "; ") != c.want {
				t.Errorf("%q too soon after the last check", again)
			}
		})
	}
}
