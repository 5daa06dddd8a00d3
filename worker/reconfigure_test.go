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
	a, b := hosts(t)
	nstest.Veth(t,
		nstest.End{Namespace: a, Name: "other", Addrs: []string{"fd65::1/64", "10.65.0.1/24"}},
		nstest.End{Namespace: b, Name: "other", Addrs: []string{"fd65::2/64", "10.65.0.2/24"}})
	// Without a named interface, the kernel chooses "sync" for IPv4.
	for _, ns := range []string{a, b} {
		nstest.IP(t, ns, "route add 239.0.0.0/8 dev sync")
	}
	away := map[netip.Addr]netip.Addr{group6: netip.MustParseAddr("ff08::77"), group4: netip.MustParseAddr("239.7.7.7")}
	bothFamilies(t, func(t *testing.T, group netip.Addr) {
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
			{"another group", nil, func(s *configdir.Spec) { s.Group = away[group] }, "sync", 1, false},
			{"another port", nil, func(s *configdir.Spec) { s.Port += 5 }, "sync", 1, false},
			{"another group and interface", nil, func(s *configdir.Spec) { s.Group, s.InInterface, s.OutInterface = away[group], "other", "other" }, "other", 1, false},
			{"a link-local group", nil, func(s *configdir.Spec) {
				if group == group6 {
					s.Group, s.OutInterface = netip.MustParseAddr("ff02::64"), ""
				}
			}, "sync", 1, group == group4},
			{"another link for such a group", func(s *configdir.Spec) {
				if group == group6 {
					s.Group = netip.MustParseAddr("ff02::64")
				}
			}, func(s *configdir.Spec) { s.InInterface, s.OutInterface = "other", "other" }, "other", 1, true},
			{"in interface no longer named", nil, func(s *configdir.Spec) { s.InInterface = "" }, "sync", 1, true},
			{"in interface named", func(s *configdir.Spec) { s.InInterface = "" }, func(s *configdir.Spec) { s.InInterface = "sync" }, "sync", 1, true},
			{"another in interface named", func(s *configdir.Spec) { s.InInterface = "" }, func(s *configdir.Spec) { s.InInterface, s.OutInterface = "other", "other" }, "other", 1, true},
		} {
			t.Run(c.name, func(t *testing.T) {
				spec := specFor(a, group)
				if c.before != nil {
					c.before(&spec)
				}
				h := newHost(t, jool4115, spec).start()
				socket := h.running.socket.fd
				c.after(&spec)
				spec.ReceiveBuffer = 3 << 20
				if err := h.Reconfigure(spec); err != nil {
					t.Fatal(err)
				}
				peer := openPlain(t, b, spec.Group, int(spec.Port), c.via)
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
	a, b := hosts(t)
	spec := standbySpec(a)
	spec.RefreshPeriod = time.Minute
	h := newHost(t, jool4115, spec).start()
	h.alone()
	peer := openPlain(t, b, group6, port, "sync")
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

	spec.RefreshPeriod = 0
	if err := h.Reconfigure(spec); err != nil {
		t.Fatal(err)
	}
	report(len(list) + syncwire.TrailerLen) // with the old refresh period, it would not be sent for a minute

	spec.Sequence = false
	if err := h.Reconfigure(spec); err != nil {
		t.Fatal(err)
	}
	report(len(list))
	if s := h.Sync(); s.Synced != syncwire.SyncNo || s.Phase != "" {
		t.Errorf("without sequence: %+v", s)
	}

	spec.Sequence = true
	if err := h.Reconfigure(spec); err != nil {
		t.Fatal(err)
	}
	if hello, _ := control[*syncwire.Hello](peer); !hello.Asks {
		t.Errorf("the first HELLO does not ask for HELLOs: %+v", hello)
	}
	report(len(list) + syncwire.TrailerLen)
	h.alone()
}

// TestReconfigureFails reconfigures a worker with specs that cannot work: it keeps its configuration.
func TestReconfigureFails(t *testing.T) {
	a, b := hosts(t)
	bothFamilies(t, func(t *testing.T, group netip.Addr) {
		spec := specFor(a, group)
		h := newHost(t, jool4115, spec)
		if err := h.Reconfigure(spec); !errors.Is(err, ErrNotRunning) {
			t.Errorf("before Run: %v", err)
		}
		h.start()
		peer := openPlain(t, b, group, port, "sync")
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
			{func(s *configdir.Spec) { s.Namespace = b }, false, `"nat"`},
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
	a, b := hosts(t)
	bothFamilies(t, func(t *testing.T, group netip.Addr) {
		spec := specFor(a, group)
		h := newHost(t, jool4115, spec).start()
		peer := openPlain(t, b, group, port, "sync")
		n := 0
		for i := range 20 {
			for range 10 {
				peer.send(entries(t, jool4115, 3*n, 3))
				n++
			}
			spec.Port = port + uint16(i%2)
			if err := h.Reconfigure(spec); err != nil {
				t.Fatal(err)
			}
			if spec.Port != port { // back to the first port
				spec.Port = port
				if err := h.Reconfigure(spec); err != nil {
					t.Fatal(err)
				}
			}
		}
		h.adds(n)
	})
}

// TestReconfigureInterfaceWithoutLoss changes the interface under traffic. The worker processes every datagram that arrived on
// the old interface before the change.
func TestReconfigureInterfaceWithoutLoss(t *testing.T) {
	a, b := hosts(t)
	c := nstest.New(t)
	nstest.Veth(t,
		nstest.End{Namespace: a, Name: "other", Addrs: []string{"fd65::1/64", "10.65.0.1/24"}},
		nstest.End{Namespace: c, Name: "other", Addrs: []string{"fd65::2/64", "10.65.0.2/24"}})
	nstest.IP(t, a, "route add 239.0.0.0/8 dev sync") // the interface that the kernel chooses
	bothFamilies(t, func(t *testing.T, group netip.Addr) {
		spec := specFor(a, group)
		h := newHost(t, jool4115, spec).start()
		by := map[string]*plain{"sync": openPlain(t, b, group, port, "sync"), "other": openPlain(t, c, group, port, "other")}
		n := 0
		for range 20 {
			for _, next := range []string{"other", "sync", "", "other", "sync"} {
				peer := by[cmp.Or(spec.InInterface, "sync")]
				for range 10 {
					peer.send(entries(t, jool4115, 3*n, 3))
					n++
				}
				spec.InInterface = next
				if err := h.Reconfigure(spec); err != nil {
					t.Fatal(err)
				}
			}
		}
		h.adds(n)
	})
}

// TestReconfigureCrossed reconfigures two workers at once. The network socket of each is in the namespace of the other's
// instance, so they could wait for each other's thread.
func TestReconfigureCrossed(t *testing.T) {
	a, b := hosts(t)
	specA, specB := specFor(a, group6), specFor(b, group6)
	specA.NetNamespace, specB.NetNamespace = b, a
	first := newHost(t, jool4115, specA).start()
	second := first.beside(specB).start()
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
	here, peerHere := hosts(t)
	there, peerThere := hosts(t)
	bothFamilies(t, func(t *testing.T, group netip.Addr) {
		spec := specFor(here, group)
		h := newHost(t, jool4115, spec).start()
		peers := map[string]*plain{here: openPlain(t, peerHere, group, port, "sync"), there: openPlain(t, peerThere, group, port, "sync")}
		fds, n := countDir(t, "/proc/self/fd"), 0
		for range 20 {
			for _, next := range []string{there, here} {
				for range 10 {
					peers[spec.NetNamespace].send(entries(t, jool4115, 3*n, 3))
					n++
				}
				spec.NetNamespace = next
				if err := h.Reconfigure(spec); err != nil {
					t.Fatal(err)
				}
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
