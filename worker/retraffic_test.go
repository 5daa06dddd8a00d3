package worker

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"joolctl/configdir"
)

// perSecond is how many new sessions a second the module reports in openSteadily.
const perSecond = 2000

// openSteadily makes the module report new sessions, perSecond of them, until stop is called.
func (h *host) openSteadily() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	began := time.Now()
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for n := 0; ctx.Err() == nil; <-tick.C {
			// A late tick reports all sessions that are due by now.
			if due := int(time.Since(began) * perSecond / time.Second); due > n {
				h.report(sessionsAt(n, due-n)...)
				n = due
			}
		}
	}()
	stop = func() {
		cancel()
		<-ended
	}
	h.t.Cleanup(stop) // before the worker ends
	return stop
}

// TestReconfigureUnderTraffic reconfigures two hosts, one after the other, while sessions are opened on the active host. The standby
// misses no datagram while both hosts can hear each other. Sessions that are opened while only one host has the new group or
// interface arrive after the other host has it too.
func TestReconfigureUnderTraffic(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(s *configdir.Spec, address string)
		apart  bool // the hosts cannot hear each other between the two changes
	}{
		{"ttl", func(s *configdir.Spec, _ string) { s.TTL = 9 }, false},
		{"receive buffer", func(s *configdir.Spec, _ string) { s.ReceiveBuffer = 9 << 20 }, false},
		{"interface named by its address", func(s *configdir.Spec, address string) { s.OutInterface = address }, false},
		{"interface", func(s *configdir.Spec, _ string) { s.InInterface, s.OutInterface = "other", "other" }, true},
		{"group", func(s *configdir.Spec, _ string) { s.Group = netip.MustParseAddr("ff08::77") }, true},
		{"port", func(s *configdir.Spec, _ string) { s.Port += 7 }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bed := newTestbed(t, 2)
			bed.connect(0, 1, "other", 65)
			active, standby := bed.standby(0), bed.standby(1)
			active.start().alone()
			standby.start().synced()
			stop := active.openSteadily()
			flows(t, active, standby)
			for i, h := range []*host{active, standby} {
				spec := h.spec()
				c.change(&spec, []string{"fd64::1", "fd64::2"}[i])
				if err := h.Reconfigure(spec); err != nil {
					t.Fatal(err)
				}
				if c.apart && i == 0 {
					flows(t, active)
				} else {
					flows(t, active, standby)
				}
			}
			stop()
			become(t, active, standby)
			missed := func() bool {
				l := standby.counters.Losses()
				return l.Repaired+l.NetworkLost+standby.counters.Ledger().Injected > 0
			}
			if c.apart { // retransmissions are counted at the next tick
				eventually(t, "what the standby missed is counted", missed)
			} else if missed() {
				t.Errorf("the standby missed datagrams: %+v, %+v", standby.counters.Ledger(), standby.counters.Losses())
			}
		})
	}
}

// flows waits until each of the hosts has sent or received 300 more sessions.
func flows(t *testing.T, hosts ...*host) {
	t.Helper()
	for _, h := range hosts {
		moved := func() uint64 { l := h.counters.Ledger(); return l.Sent + l.Received }
		before := moved()
		eventually(t, "sessions flow", func() bool { return moved() >= before+300 })
	}
}
