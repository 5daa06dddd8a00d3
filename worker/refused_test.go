package worker

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"joolctl/packetio"
	"joolctl/replication"
)

// address is one of many.
func address(n int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, byte(n >> 8), byte(n)}) }

// TestRefusedBounds has datagrams come from more addresses than are counted: those of a peer count all the same, and no memory is
// allocated.
func TestRefusedBounds(t *testing.T) {
	var r refused
	now := time.Unix(1_000_000, 0)
	peer := address(60_000)
	known := func(a netip.Addr) bool { return a == peer }
	for i := range 10 * maxRefused {
		if _, ok := r.note(address(i), RefusedForged, 1, now, known); ok != (i < maxRefused) {
			t.Fatalf("address %d is counted: %v", i, ok)
		}
	}
	if _, ok := r.note(peer, RefusedClear, 0, now, known); !ok {
		t.Error("datagrams from the address of a peer are not counted")
	}
	if n := testing.AllocsPerRun(100, func() {
		r.note(peer, RefusedClear, 0, now, known)
		r.note(address(5000), RefusedForged, 0, now, known)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
	list, _ := r.take(now, known)
	if len(list) != maxRefused || list[0].From != peer || list[0].Datagrams != 102 || !list[0].Known || list[1].Known {
		t.Errorf("%d entries, the first ones %+v", len(list), list[:2])
	}
	now = now.Add(RefusedFor + 1)
	if _, ok := r.note(address(5000), RefusedReplayed, 0, now, known); !ok {
		t.Error("no entry becomes free after a minute")
	}
	if list, changed := r.take(now, known); !changed || len(list) != 1 || list[0].Why != RefusedReplayed {
		t.Errorf("%v after a minute: %+v", changed, list)
	}
	if _, changed := r.take(now, known); changed {
		t.Error("a change without a datagram")
	}
	now = now.Add(RefusedFor + 1)
	if list, changed := r.take(now, known); !changed || len(list) != 0 {
		t.Errorf("%v after another minute: %+v", changed, list)
	}
}

// TestRefusedLasts has datagrams of one address be refused again and again, with pauses.
func TestRefusedLasts(t *testing.T) {
	for _, c := range []struct {
		name   string
		why    Refusal
		every  time.Duration
		linked bool // a host is found after the second datagram
		want   []time.Duration
	}{
		{"a start", RefusedUnconfirmed, 100 * time.Millisecond, false, []time.Duration{0, 100 * time.Millisecond, 200 * time.Millisecond}},
		{"a path that is broken", RefusedUnconfirmed, 10 * time.Second, false, []time.Duration{0, 10 * time.Second, 20 * time.Second}},
		{"several starts", RefusedUnconfirmed, 16 * time.Second, false, []time.Duration{0, 0, 0}},
		{"a start in two steps", RefusedUnconfirmed, 4 * time.Second, true, []time.Duration{0, 4 * time.Second, 0}},
		{"a forger", RefusedForged, 16 * time.Second, true, []time.Duration{0, 16 * time.Second, 32 * time.Second}},
		{"a rare forger", RefusedForged, 61 * time.Second, false, []time.Duration{0, 0, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r refused
			var got []time.Duration
			now := time.Unix(1_000_000, 0)
			for i := range c.want {
				lasts, _ := r.note(address(1), c.why, 0, now, func(netip.Addr) bool { return false })
				got = append(got, lasts)
				if now = now.Add(c.every); c.linked && i == 1 {
					r.confirmed()
				}
			}
			if d := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestRefusedCost has datagrams be refused: no memory is allocated for those without a line in the log, and unconfirmed ones have a line
// once they have been arriving for UnconfirmedAfter.
func TestRefusedCost(t *testing.T) {
	log := new(logged)
	p := newPumps(New(standbySpec("a"), Env{Log: slog.New(slog.NewTextHandler(log, nil))}, new(Counters)))
	p.host = replication.NewHost(effects{p}, replication.Config{Random: p.random}, time.Now())
	now := time.Now()
	sealed := packetio.Datagram{Data: append([]byte{0, 0, 2, 1}, make([]byte, 100)...), From: netip.MustParseAddrPort("192.0.2.1:6464")}
	for why := range Refusal(refusalKinds) {
		for _, after := range []time.Duration{0, UnconfirmedAfter - 1, UnconfirmedAfter} {
			p.refuse(why, sealed, now.Add(after))
			want := 1
			if why == RefusedSealed || why == RefusedUnconfirmed && after < UnconfirmedAfter {
				want = 0
			}
			begin, _, _ := strings.Cut(refusalLines[why], ":")
			begin, _, _ = strings.Cut(begin, ",")
			if begin == "" {
				begin = "sealed datagram"
			}
			if n := log.count(begin); n != want {
				t.Errorf("refusal %d after %v: %d lines, want %d", why, after, n, want)
			}
		}
		if n := testing.AllocsPerRun(100, func() { p.refuse(why, sealed, now.Add(UnconfirmedAfter)) }); n > 0 {
			t.Errorf("refusal %d: %v allocations", why, n)
		}
	}
}
