package worker

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"joolctl/configdir"
	"joolctl/joolnl"
	"joolctl/nsthread/nstest"
	"joolctl/replication"
	"joolctl/seal"
	"joolctl/syncwire"
)

// capture returns a function that returns the lengths of the IP packets that have left a namespace by its interface "sync" since.
func capture(t testing.TB, ns string) func() (longest, fragments, packets int) {
	t.Helper()
	fd := -1
	insideOf(t, ns, func() (err error) {
		// Packets of all protocols, without the link's header: those that leave as well.
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0x0300); err == nil {
			err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20)
		}
		return err
	})
	t.Cleanup(func() { unix.Close(fd) })
	return func() (longest, fragments, packets int) {
		t.Helper()
		buf := make([]byte, 64<<10)
		for {
			n, from, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
			if err == unix.EAGAIN {
				return longest, fragments, packets
			}
			if err != nil {
				t.Fatal(err)
			}
			if from, is := from.(*unix.SockaddrLinklayer); !is || from.Pkttype != unix.PACKET_OUTGOING {
				continue
			}
			packets++
			longest = max(longest, n)
			switch buf[0] >> 4 {
			case 4:
				if buf[6]&0x3f != 0 || buf[7] != 0 {
					fragments++
				}
			case 6:
				if buf[6] == unix.IPPROTO_FRAGMENT {
					fragments++
				}
			}
		}
	}
}

// TestMTU has two hosts with different MTUs exchange their tables and live sessions. No packet is longer than its sender's MTU, none is a
// fragment, and the longest ones have nearly that length.
func TestMTU(t *testing.T) {
	jumbo, key := 1280, seal.NewKey(1)
	for _, c := range []struct {
		name     string
		group    netip.Addr
		versions [2]joolnl.Version
		sealed   bool
		link     int    // the MTU of the link
		mtu      [2]int // of the specs
		want     [2]int // in force
	}{
		{"1280 and Ethernet", group6, [2]joolnl.Version{jool4115, jool419}, false, 1500, [2]int{1280, 0}, [2]int{1280, 1500}},
		{"1280 and Ethernet, sealed", group6, [2]joolnl.Version{jool419, jool4115}, true, 1500, [2]int{1280, 0}, [2]int{1280, 1500}},
		{"IPv4", group4, [2]joolnl.Version{jool4115, jool4112}, false, 1500, [2]int{1300, 1400}, [2]int{1300, 1400}},
		{"IPv4, sealed", group4, [2]joolnl.Version{jool4112, jool4115}, true, 1500, [2]int{1300, 1400}, [2]int{1300, 1400}},
		{"the link's", group6, [2]joolnl.Version{jool4115, jool4115}, true, 1420, [2]int{0, 0}, [2]int{1420, 1420}},
		{"jumbo frames", group6, [2]joolnl.Version{jool419, jool419}, false, 9000, [2]int{9000, jumbo}, [2]int{9000, jumbo}},
		{"jumbo frames, by default", group6, [2]joolnl.Version{jool419, jool419}, false, 9000, [2]int{0, 0}, [2]int{1500, 1500}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bed := newTestbed(t, 2)
			bed.group = c.group
			for _, ns := range bed.ns {
				nstest.IP(t, ns, fmt.Sprintf("link set sync mtu %d", c.link))
			}
			var all [2]*host
			var captured [2]func() (int, int, int)
			for i := range all {
				all[i] = bed.standby(i, sessionsAt(4000*i, 1000)...).of(c.versions[i])
				all[i].current.MTU, all[i].current.RefreshPeriod = c.mtu[i], 0
				if c.sealed {
					all[i].keyed(configdir.SecurityRequire, key)
				}
				captured[i] = capture(t, bed.ns[i])
			}
			for _, h := range all {
				h.start()
			}
			for i, h := range all {
				h.synced()
				if got := h.limitsNow(); got != c.want[i] {
					t.Errorf("host %d: an MTU of %d, want %d", i, got, c.want[i])
				}
			}
			becomeAlike(t, all[0], all[1], apart)
			for i, h := range all {
				live := sessionsAt(10_000+1000*i, 41)
				h.report(live...)
				eventually(t, "live sessions cross", func() bool { return all[1-i].has(live) })
			}
			for i, h := range all {
				longest, fragments, packets := captured[i]()
				most := min(c.want[i], 48+12+41*c.versions[i].Format().EntryLen())
				if longest > c.want[i] || longest < most-150 || fragments > 0 || packets == 0 {
					t.Errorf("host %d: the longest of %d packets has %d bytes, %d are fragments; the MTU is %d", i, packets, longest, fragments, c.want[i])
				}
				if l := h.counters.Losses(); l.NetworkLost+l.Malformed+l.NotUnderstood > 0 {
					t.Errorf("host %d: losses %+v", i, l)
				}
			}
		})
	}
}

// limitsNow returns the MTU in force.
func (h *host) limitsNow() (mtu int) {
	h.t.Helper()
	h.onThread(func(p *pumps) { mtu = p.host.Limits.MTU })
	return mtu
}

// TestMTUChanges changes the MTU of the interface and "mtu" of a running host, which keeps its socket.
func TestMTUChanges(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, 2)
	bed.add() // the network socket's namespace need not be the instance's
	for name, instance := range map[string]int{"one namespace": 0, "two namespaces": 2} {
		bed.run(name, func(t *testing.T, bed *testbed) {
			h := bed.host(instance)
			h.current.Sequence, h.current.NetNamespace = true, bed.ns[0]
			h.start()
			spec := h.spec()
			socket := h.running.socket.fd
			peer := bed.peer(1)
			n := 0
			for _, c := range []struct{ link, mtu, want, longest int }{
				{1500, 0, 1500, 36}, {1400, 0, 1400, 33}, {1500, 0, 1500, 36}, {1500, 1280, 1280, 30}, {1300, 1280, 1280, 30}, {1300, 0, 1300, 31},
				{1500, 0, 1500, 36}, {1500, 1400, 1400, 33}, {1500, 9000, 9000, 36},
			} {
				nstest.IP(t, bed.ns[0], fmt.Sprintf("link set sync mtu %d", c.link))
				h.Check()
				if spec.MTU != c.mtu {
					spec.MTU = c.mtu
					if err := h.Reconfigure(spec); err != nil {
						t.Fatal(err)
					}
				}
				eventually(t, fmt.Sprintf("an MTU of %d, with a link's of %d", c.want, c.link), func() bool { return h.limitsNow() == c.want })
				h.instance.Multicast(entries(t, jool4115, 1000+100*n, 36))
				n++
				longest := 0
				for got := 0; got < 36; {
					d, _ := peer.receive()
					if k := jool4115.Format().CountList(d); k > 0 {
						got, longest = got+k, max(longest, k)
					}
				}
				if longest != c.longest || h.running.socket.fd != socket {
					t.Errorf("link %d, mtu %d: %d sessions in a datagram, want %d; the socket is kept: %v", c.link, c.mtu, longest, c.longest, h.running.socket.fd == socket)
				}
			}
		})
	}
}

// TestPathMTU has a host whose longest packets reach one peer, but not the other one, or do not fit its own link. The host finds the longest
// packets that arrive, and stays complete meanwhile. With that MTU, all is well.
func TestPathMTU(t *testing.T) {
	for _, c := range []struct {
		name   string
		group  netip.Addr
		sealed bool
		link   int // the MTU of the peer's link
		mtu    int // of the host's spec
		want   int
	}{
		{"IPv6, sealed", group6, true, 1400, 0, 1400},
		{"IPv4", group4, false, 1400, 0, 1400},
		{"IPv6, longer than the link's", group6, false, 1500, 1600, 1500},
		{"IPv4, longer than the link's", group4, true, 1500, 1600, 1500},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bed, key := newTestbed(t, 3), seal.NewKey(1)
			bed.group = c.group
			nstest.IP(t, bed.ns[1], fmt.Sprintf("link set sync mtu %d", c.link))
			all := make([]*host, 3)
			for i := range all {
				all[i] = bed.standby(i, sessionsAt(100*i, 10)...)
				if c.sealed {
					all[i].keyed(configdir.SecurityRequire, key)
				}
			}
			all[0].current.MTU = c.mtu
			for _, h := range all {
				h.start()
			}
			for _, h := range all {
				h.synced()
			}
			sender, small := all[0], all[1]
			found := sender.searchMTU("the MTU of the path is found", func(p replication.PathTrouble) bool { return p.MTU != 0 })
			// A veth receives 4 bytes more than its MTU, for a VLAN tag. It sends no more than its MTU.
			if found.MTU != max(c.mtu, 1500) || found.Works < c.want || found.Works > min(c.want+4, 1500) || c.mtu == 0 && !inNet(small, found.Peer) {
				t.Errorf("found %+v", found)
			}
			for i, h := range all[1:] {
				// The third host's packets do not reach the second one either.
				if p := h.Sync().Path; p.MTU != 0 && (h == small || c.mtu != 0) {
					t.Errorf("host %d: %+v", i+1, p)
				}
			}
			sender.toldMTU(found.Works)
			full := syncwire.NewLimits(found.Works, c.group.Is4(), c.sealed).Message()
			worksWith(t, found.Works, full, sender, small)
		})
	}
}

// searchMTU waits until the state of the search has a property, and returns the state.
func (h *host) searchMTU(what string, holds func(replication.PathTrouble) bool) replication.PathTrouble {
	h.t.Helper()
	live := sessionAt(5000, 0)
	within(h.t, 12*patience, what, func() bool {
		h.report(live) // without sessions, the search takes ten times as long
		return holds(h.Sync().Path)
	})
	return h.Sync().Path
}

// toldMTU checks that the host has stayed complete, and that one line in its log says which MTU to write.
func (h *host) toldMTU(works int) {
	h.t.Helper()
	if s := h.Sync(); s.Synced != syncwire.SyncYes {
		h.t.Errorf("the table is not complete any more: %+v", s.Lacking)
	}
	if n := h.log.count("the table lacks sessions"); n > 0 {
		h.t.Errorf("the verdict became no %d times", n)
	}
	remedy := fmt.Sprintf(`write \"mtu\": %d`, works)
	eventually(h.t, "the log says what to write", func() bool { return h.log.count(remedy) > 0 })
	if n := h.log.count(remedy); n != 1 {
		h.t.Errorf("%d lines say what to write", n)
	}
	if n := h.counters.sendErrors.Load(); n > 0 {
		h.t.Errorf("%d errors", n)
	}
}

// worksWith gives the sender the MTU that works: padded HELLOs of the full length arrive, and many sessions.
func worksWith(t *testing.T, mtu, full int, sender, small *host) {
	t.Helper()
	sender.reconfigure(func(s *configdir.Spec) { s.MTU = mtu })
	heard := func() (n int) {
		small.onThread(func(p *pumps) {
			for _, known := range p.host.Peers.All() {
				n = max(n, known.PaddedLen())
			}
		})
		return n
	}
	p := sender.searchMTU("a padded HELLO of the configured MTU arrives", func(replication.PathTrouble) bool { return heard() == full })
	if p.MTU != 0 {
		t.Errorf("with the configured value: %+v", p)
	}
	sender.report(sessionsAt(7000, 500)...)
	eventually(t, "many sessions cross", func() bool { return small.has(sessionsAt(7000, 500)) })
}

// inNet reports whether an address is one of the host's.
func inNet(h *host, address netip.Addr) (is bool) {
	h.onThread(func(*pumps) {
		addrs, _ := net.InterfaceAddrs()
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr() == address {
				is = true
			}
		}
	})
	return is
}
