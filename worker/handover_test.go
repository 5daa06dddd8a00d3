package worker

import (
	"fmt"
	"log/slog"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"joolctl/configdir"
	"joolctl/fdstore/fdstoretest"
	"joolctl/joolnl"
	"joolctl/nsthread/nstest"
	"joolctl/worker/workertest"
)

// leaving is a host with a real netlink socket for the module's multicasts. Its worker leaves its sockets in the store when it
// ends.
type leaving struct {
	*host
	kernel  *overrun
	manager *fdstoretest.Manager
}

func startLeaving(h *host) *leaving {
	h.t.Helper()
	l := &leaving{h, &overrun{Kernel: h.kernel, group: 1}, fdstoretest.New(h.t)}
	l.env.Kernel = l.kernel
	l.env.Store = l.manager.Open(h.t, slog.New(slog.DiscardHandler))
	l.start()
	return l
}

// leave ends the worker as at the end of its process.
func (l *leaving) leave() {
	l.t.Helper()
	l.env.Store.Leave()
	l.stop()
	l.manager.Await(l.t, 2)
}

// next starts the worker of the next process.
func (l *leaving) next(spec configdir.Spec) {
	l.t.Helper()
	unix.Close(l.kernel.sender)
	l.t.Cleanup(func() { unix.Close(l.kernel.sender) })
	env := l.env
	env.Store = l.manager.Open(l.t, slog.New(slog.DiscardHandler))
	l.Worker = New(spec, env, &l.counters)
	l.start()
}

// TestHandover sends a datagram and a report between the end of one process and the start of the next. The next worker receives
// both, unless a socket does not fit its configuration: then it opens another one.
func TestHandover(t *testing.T) {
	(&testbed{t: t}).bothFamilies(func(t *testing.T, both *testbed) {
		for _, c := range []struct {
			name string
			// between is called while no worker runs.
			between func(l *leaving, spec *configdir.Spec)
			// net and kernel say whether the next worker receives the datagram and the report. via is the interface of the
			// new configuration.
			net, kernel bool
			via         string
		}{
			{"as before", func(*leaving, *configdir.Spec) {}, true, true, "sync"},
			{"another module", func(l *leaving, _ *configdir.Spec) { l.kernel.group = 2 }, true, false, "sync"},
			{"another port", func(_ *leaving, s *configdir.Spec) { s.Port++ }, false, true, "sync"},
			{"another instance", func(l *leaving, s *configdir.Spec) {
				s.Instance = "other"
				l.instance = l.kernel.Add(l.t, s.Namespace, s.Instance)
			}, true, false, "sync"},
			// The IPv6 socket is used too, but the worker drops the datagram because it arrived on the old interface.
			{"another interface", func(_ *leaving, s *configdir.Spec) { s.InInterface, s.OutInterface = "other", "other" }, both.group.Is4(), true, "other"},
		} {
			t.Run(c.name, func(t *testing.T) {
				bed := newTestbed(t, 2)
				bed.connect(0, 1, "other", 65)
				bed.group = both.group
				h := bed.host(0)
				h.current.NetNamespace = bed.ns[1] // not the namespace of the netlink socket
				l, spec := startLeaving(h), h.spec()
				l.leave()
				peer := bed.peer(0)
				meanwhile := entries(t, jool4115, 1, 3)
				peer.send(meanwhile)
				peer.Close()
				report := entries(t, jool4115, 100, 5)
				l.kernel.multicast(t, workertest.Multicast(jool4115, "nat", report))
				c.between(l, &spec)
				l.next(spec)
				later := bed.peerAt(0, bed.group, spec.Port, c.via)
				afterwards := entries(t, jool4115, 50, 2)
				later.send(afterwards)
				want := [][]byte{afterwards}
				if c.net {
					want = [][]byte{meanwhile, afterwards}
				}
				same(t, l.adds(len(want)), want...)
				reported := uint64(0)
				if c.kernel {
					reported = 5
				}
				eventually(t, fmt.Sprintf("%d sessions reported by the module are received", reported), func() bool {
					return l.counters.Ledger().Reported == reported
				})
				if n := l.counters.Losses(); n != (Losses{}) {
					t.Errorf("losses %+v", n)
				}
			})
		}
	})
}

// TestHandoverOfNamespace recreates the namespace between two processes. The next worker opens new sockets.
func TestHandoverOfNamespace(t *testing.T) {
	bed := newTestbed(t, 2)
	l := startLeaving(bed.host(1))
	l.leave()
	nstest.Delete(t, bed.ns[1])
	nstest.Add(t, bed.ns[1])
	nstest.Veth(t, nstest.End{Namespace: bed.ns[0], Name: "new", Addrs: []string{"fd66::1/64"}},
		nstest.End{Namespace: bed.ns[1], Name: "sync", Addrs: []string{"fd66::2/64"}})
	l.instance = l.kernel.Add(t, bed.ns[1], "nat")
	l.next(l.spec())
	if n := l.env.Store.Passed(); n != 2 {
		t.Errorf("%d sockets are left, want both", n)
	}
	peer := bed.peerAt(0, bed.group, port, "new")
	peer.send(entries(t, jool4115, 1, 1))
	same(t, l.adds(1), entries(t, jool4115, 1, 1))
	if got := l.instance.Count(joolnl.JooldAck); got == 0 {
		t.Error("the worker has sent no ACK")
	}
}

// TestStatsHandover sends a request to the stats server between two processes. The next process answers it.
func TestStatsHandover(t *testing.T) {
	m := fdstoretest.New(t)
	store := m.Open(t, slog.New(slog.DiscardHandler))
	spec := configdir.Spec{StatsPort: freePort(t), StatsAddress: netip.MustParseAddr("127.0.0.1")}
	s, err := OpenStats(spec, func() Stats { return Stats{} }, store)
	if err != nil {
		t.Fatal(err)
	}
	store.Leave()
	s.Close()
	m.Await(t, 1)
	answer := make(chan string, 1)
	go func() { answer <- ask(t, netip.AddrPortFrom(spec.StatsAddress, spec.StatsPort), nil) }()
	if s, err = OpenStats(spec, func() Stats { return Stats{NetSentBytes: 7} }, m.Open(t, slog.New(slog.DiscardHandler))); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got, want := <-answer, (Stats{NetSentBytes: 7}).String(); got != want {
		t.Errorf("answered %q, want %q", got, want)
	}
}
