package worker

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/configdir"
	"joolctl/joolnl"
	"joolctl/nsthread/nstest"
	"joolctl/syncwire"
)

// TestReconfigure changes a running worker's spec, and checks that sessions cross in both directions afterwards.
func TestReconfigure(t *testing.T) {
	bed := newTestbed(t, 2)
	bed.connect(0, 1, "other", 65)
	// Without a named interface, the kernel chooses "sync" for IPv4.
	for _, ns := range bed.ns {
		nstest.IP(t, ns, "route add 239.0.0.0/8 dev sync")
	}
	away := map[netip.Addr]netip.Addr{group6: netip.MustParseAddr("ff08::77"), group4: netip.MustParseAddr("239.7.7.7")}
	bed.bothFamilies(func(t *testing.T, bed *testbed) {
		for _, c := range []struct {
			name   string
			before func(*configdir.Spec)
			after  func(*configdir.Spec)
			// via is the interface that the worker uses afterwards; kept says whether it keeps its network socket.
			via  string
			ttl  int
			kept bool
		}{
			{"nothing", nil, func(*configdir.Spec) {}, "sync", 1, true},
			{"another interface", nil, func(s *configdir.Spec) { s.InInterface, s.OutInterface = "other", "other" }, "other", 1, true},
			{"the same interface by address", nil, func(s *configdir.Spec) { s.InInterface, s.OutInterface = "fd64::1", "fd64::1" }, "sync", 1, true},
			{"ttl", nil, func(s *configdir.Spec) { s.TTL = 9 }, "sync", 9, true},
			{"another group", nil, func(s *configdir.Spec) { s.Group = away[bed.group] }, "sync", 1, false},
			{"another port", nil, func(s *configdir.Spec) { s.Port += 5 }, "sync", 1, false},
			{"another group and interface", nil, func(s *configdir.Spec) { s.Group, s.InInterface, s.OutInterface = away[bed.group], "other", "other" }, "other", 1, false},
			{"a link-local group", nil, func(s *configdir.Spec) {
				if bed.group == group6 {
					s.Group, s.OutInterface = netip.MustParseAddr("ff02::64"), ""
				}
			}, "sync", 1, bed.group == group4},
			{"another link for such a group", func(s *configdir.Spec) {
				if bed.group == group6 {
					s.Group = netip.MustParseAddr("ff02::64")
				}
			}, func(s *configdir.Spec) { s.InInterface, s.OutInterface = "other", "other" }, "other", 1, true},
			{"in interface no longer named", nil, func(s *configdir.Spec) { s.InInterface = "" }, "sync", 1, true},
			{"in interface named", func(s *configdir.Spec) { s.InInterface = "" }, func(s *configdir.Spec) { s.InInterface = "sync" }, "sync", 1, true},
			{"another in interface named", func(s *configdir.Spec) { s.InInterface = "" }, func(s *configdir.Spec) { s.InInterface, s.OutInterface = "other", "other" }, "other", 1, true},
		} {
			bed.run(c.name, func(t *testing.T, bed *testbed) {
				h := bed.host(0)
				if c.before != nil {
					c.before(&h.current)
				}
				socket := h.start().running.socket.fd
				h.reconfigure(func(s *configdir.Spec) { c.after(s); s.ReceiveBuffer = 3 << 20 })
				spec := h.spec()
				peer := bed.peerAt(1, spec.Group, spec.Port, c.via)
				list := entries(t, jool4115, 10, 3)
				peer.send(list)
				same(t, h.adds(1), list)
				h.instance.Multicast(entries(t, jool4115, 20, 2))
				if got, ttl := peer.receive(); len(got) < 80 || ttl != c.ttl {
					t.Errorf("%d bytes with a ttl of %d, want %d", len(got), ttl, c.ttl)
				}
				if kept := h.running.socket.fd == socket; kept != c.kept {
					t.Errorf("the socket was kept: %v, want %v", kept, c.kept)
				}
				for name, fd := range map[string]int{"network": h.running.socket.fd, "netlink": h.running.conn.Receiver()} {
					if n, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF); n != 2*spec.ReceiveBuffer {
						t.Errorf("%s socket: a receive buffer of %d", name, n)
					}
				}
				if n := len(h.kernel.Dials()); n != 1 {
					t.Errorf("dialled %d times", n)
				}
			})
		}
	})
}

// TestRetune changes settings that do not concern sockets: the refresh period, and whether datagrams have sequence numbers.
func TestRetune(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, 2)
	h := bed.standby(0)
	h.current.RefreshPeriod = time.Minute
	h.start().alone()
	peer := bed.peer(1)
	list := entries(t, jool4115, 1, 1)
	report := func(want int) {
		t.Helper()
		h.instance.Multicast(list)
		for {
			got, _ := peer.receive()
			if _, err := syncwire.Parse(slices.Clone(got)); err == nil {
				continue // a control message
			}
			if len(got) != want {
				t.Errorf("%d bytes arrive, want %d", len(got), want)
			}
			return
		}
	}
	report(len(list) + syncwire.TrailerLen)

	h.reconfigure(func(s *configdir.Spec) { s.RefreshPeriod = 0 })
	report(len(list) + syncwire.TrailerLen) // with the old refresh period, it would not be sent for a minute

	h.reconfigure(func(s *configdir.Spec) { s.Sequence = false })
	report(len(list))
	if s := h.Sync(); s.Synced != syncwire.SyncNo || s.Phase != "" {
		t.Errorf("without sequence: %+v", s)
	}

	h.reconfigure(func(s *configdir.Spec) { s.Sequence = true })
	if hello, _ := control[*syncwire.Hello](peer); !hello.Asks {
		t.Errorf("the first HELLO does not ask for HELLOs: %+v", hello)
	}
	report(len(list) + syncwire.TrailerLen)
	h.alone()
}

// TestReconfigureFails reconfigures a worker with specs that cannot work: it keeps its configuration.
func TestReconfigureFails(t *testing.T) {
	bed := newTestbed(t, 2)
	bed.bothFamilies(func(t *testing.T, bed *testbed) {
		h := bed.host(0)
		spec := h.spec()
		if err := h.Reconfigure(spec); !errors.Is(err, ErrNotRunning) {
			t.Errorf("before Run: %v", err)
		}
		h.start()
		peer := bed.peer(1)
		taken := h.beside(func() configdir.Spec { s := spec; s.Instance, s.Port = "other", port+1; return s }()).start()
		fds := countDir(t, "/proc/self/fd")
		for i, c := range []struct {
			change  func(*configdir.Spec)
			missing bool
			want    string
		}{
			{func(s *configdir.Spec) { s.InInterface = "nothere" }, true, `in interface "nothere"`},
			{func(s *configdir.Spec) { s.OutInterface = "nothere" }, true, `out interface "nothere"`},
			{func(s *configdir.Spec) { s.NetNamespace = "nothere" }, true, `namespace "nothere"`},
			{func(s *configdir.Spec) { s.Port = port + 1 }, false, "address already in use"},
			{func(s *configdir.Spec) { s.Instance = "other" }, false, `"nat"`},
			{func(s *configdir.Spec) { s.Namespace = bed.ns[1] }, false, `"nat"`},
		} {
			bad := spec
			c.change(&bad)
			wantError(t, h.Reconfigure(bad), c.missing, c.want)
			list := entries(t, jool4115, 10*i, 3)
			peer.send(list)
			if got := h.adds(i + 1); len(got) != i+1 || string(got[i].Entries) != string(list) {
				t.Errorf("after %d: %v", i, got)
			}
			h.instance.Multicast(entries(t, jool4115, 1000+10*i, 2))
			if got, ttl := peer.receive(); len(got) < 80 || ttl != 1 {
				t.Errorf("%d bytes with a ttl of %d", len(got), ttl)
			}
		}
		if now := countDir(t, "/proc/self/fd"); now != fds {
			t.Errorf("%d descriptors before, %d after", fds, now)
		}
		if n := taken.instance.Count(joolnl.JooldAdd); n != 0 {
			t.Errorf("the other worker's instance received %d JOOLD_ADDs", n)
		}
		h.stop()
		if err := h.Reconfigure(spec); !errors.Is(err, ErrNotRunning) {
			t.Errorf("after Run: %v", err)
		}
	})
}

// TestReconfigureWithoutLoss changes the group's port under traffic. The worker processes every datagram that was sent to the
// old port before the change.
func TestReconfigureWithoutLoss(t *testing.T) {
	bed := newTestbed(t, 2)
	bed.bothFamilies(func(t *testing.T, bed *testbed) {
		h := bed.host(0).start()
		peer := bed.peer(1)
		n := 0
		for i := range 20 {
			for range 10 {
				peer.send(entries(t, jool4115, 3*n, 3))
				n++
			}
			h.reconfigure(func(s *configdir.Spec) { s.Port = port + uint16(i%2) })
			if i%2 == 1 { // back to the first port
				h.reconfigure(func(s *configdir.Spec) { s.Port = port })
			}
		}
		h.adds(n)
	})
}

// TestReconfigureInterfaceWithoutLoss changes the interface under traffic. The worker processes every datagram that arrived on
// the old interface before the change.
func TestReconfigureInterfaceWithoutLoss(t *testing.T) {
	bed := newTestbed(t, 2)
	third := bed.add()
	bed.connect(0, third, "other", 65)
	nstest.IP(t, bed.ns[0], "route add 239.0.0.0/8 dev sync") // the interface that the kernel chooses
	bed.bothFamilies(func(t *testing.T, bed *testbed) {
		h := bed.host(0).start()
		by := map[string]*peer{"sync": bed.peer(1), "other": bed.peerAt(third, bed.group, port, "other")}
		n := 0
		for range 20 {
			for _, next := range []string{"other", "sync", "", "other", "sync"} {
				peer := by[cmp.Or(h.spec().InInterface, "sync")]
				for range 10 {
					peer.send(entries(t, jool4115, 3*n, 3))
					n++
				}
				h.reconfigure(func(s *configdir.Spec) { s.InInterface = next })
			}
		}
		h.adds(n)
	})
}

// TestReconfigureCrossed reconfigures two workers at once. The network socket of each is in the namespace of the other's
// instance, so they could wait for each other's thread.
func TestReconfigureCrossed(t *testing.T) {
	bed := newTestbed(t, 2)
	first, specB := bed.host(0), specFor(bed.ns[1], group6)
	first.current.NetNamespace, specB.NetNamespace = bed.ns[1], bed.ns[0]
	second := first.start().beside(specB).start()
	done := make(chan error, 2)
	for _, h := range []*host{first, second} {
		go func() {
			spec := h.spec()
			for i := range 200 {
				spec.TTL = 1 + i%2
				if err := h.Reconfigure(spec); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 2 {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Fatal("the workers wait for each other")
		}
	}
	cross(t, jool4115, first, second)
	cross(t, jool4115, second, first)
}

// TestReconfigureNetNamespace moves the network socket into another namespace and back under traffic. The worker processes every
// datagram that was sent to the old socket before the change, and leaves no socket open.
func TestReconfigureNetNamespace(t *testing.T) {
	bed := newTestbed(t, 2)
	bed.add()
	bed.add()
	bed.connect(2, 3, "sync", 64)
	bed.bothFamilies(func(t *testing.T, bed *testbed) {
		h := bed.host(0).start()
		here, there := bed.ns[0], bed.ns[2]
		peers := map[string]*peer{here: bed.peer(1), there: bed.peer(3)}
		fds, n := countDir(t, "/proc/self/fd"), 0
		for range 20 {
			for _, next := range []string{there, here} {
				for range 10 {
					peers[h.spec().NetNamespace].send(entries(t, jool4115, 3*n, 3))
					n++
				}
				h.reconfigure(func(s *configdir.Spec) { s.NetNamespace = next })
				h.instance.Multicast(entries(t, jool4115, 20_000+3*n, 3))
				if got, _ := peers[next].receive(); len(got) < 3*40 {
					t.Errorf("%d bytes", len(got))
				}
			}
		}
		h.adds(n)
		eventually(t, "the replaced sockets are closed", func() bool { return countDir(t, "/proc/self/fd") == fds })
	})
}
