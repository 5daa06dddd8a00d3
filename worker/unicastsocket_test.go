package worker

import (
	"bytes"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/configdir"
	"joolctl/nsthread/nstest"
)

// linkLocal returns the link-local address of "sync".
func linkLocal(t testing.TB, ns string) (address netip.Addr) {
	t.Helper()
	insideOf(t, ns, func() error {
		link, err := net.InterfaceByName("sync")
		if err != nil {
			return err
		}
		addresses, err := link.Addrs()
		for _, a := range addresses {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().IsLinkLocalUnicast() && p.Addr().Is6() {
				address = p.Addr().WithZone("")
			}
		}
		return err
	})
	return address
}

// listen opens a socket that is bound to an address, and sends nowhere in particular.
func (b *testbed) listen(i int, address netip.Addr) (conn *net.UDPConn) {
	b.t.Helper()
	insideOf(b.t, b.ns[i], func() (err error) {
		bound := net.UDPAddrFromAddrPort(netip.AddrPortFrom(address, port))
		if address.IsLinkLocalUnicast() {
			bound.Zone = "sync"
		}
		conn, err = net.ListenUDP("udp", bound)
		return err
	})
	b.t.Cleanup(func() { conn.Close() })
	return conn
}

// TestUnicastInterfaces has two namespaces with two links. "in interface" and "out interface" choose between them and the addresses.
func TestUnicastInterfaces(t *testing.T) {
	bed := newTestbed(t, 2)
	bed.connect(0, 1, "other", 65)
	nstest.IP(t, bed.ns[0], "address add 10.64.0.11/24 dev sync", "address add fd64::11/64 dev sync nodad", "link set lo up", "address add 10.66.0.1/32 dev lo", "address add fd66::1/128 dev lo nodad")
	nstest.IP(t, bed.ns[1], "route add 10.66.0.1/32 via 10.64.0.1", "route add fd66::1/128 via fd64::1", "link set lo up", "address add 10.66.0.2/32 dev lo", "address add fd66::2/128 dev lo nodad")
	nstest.IP(t, bed.ns[0], "route add 10.66.0.2/32 via 10.64.0.2 metric 10", "route add 10.66.0.2/32 via 10.65.0.2 metric 2000",
		"route add fd66::2/128 via fd64::2 metric 10", "route add fd66::2/128 via fd65::2 metric 2000")
	for _, c := range []struct {
		name, in, out string
		peer          string   // of the host
		from          string   // source address of the host's datagrams
		to            []string // addresses of the host at which it hears the peer
		not           []string // and at which it does not
	}{
		{"IPv4, no interface", "", "", "10.64.0.2", "10.64.0.1", []string{"10.64.0.1", "10.65.0.1", "10.66.0.1"}, nil},
		{"IPv4, by name", "sync", "sync", "10.64.0.2", "10.64.0.1", []string{"10.64.0.1", "10.64.0.11"}, []string{"10.65.0.1"}},
		{"IPv4, the other one by name", "other", "other", "10.66.0.2", "10.65.0.1", []string{"10.65.0.1"}, []string{"10.64.0.1"}},
		{"IPv4, by address", "10.64.0.11", "", "10.64.0.2", "10.64.0.11", []string{"10.64.0.11"}, []string{"10.64.0.1", "10.65.0.1"}},
		{"IPv4, by an address that is not on the link", "10.66.0.1", "sync", "10.64.0.2", "10.66.0.1", []string{"10.66.0.1"}, []string{"10.64.0.1"}},
		{"IPv4, out by address", "sync", "10.64.0.11", "10.64.0.2", "10.64.0.11", []string{"10.64.0.1", "10.64.0.11"}, []string{"10.65.0.1"}},
		{"IPv4, in by an address of IPv6", "fd64::1", "", "10.64.0.2", "10.64.0.1", []string{"10.64.0.1"}, []string{"10.65.0.1"}},
		{"IPv6, no interface", "", "", "fd64::2", "", []string{"fd64::1", "fd65::1", "fd66::1"}, nil},
		{"IPv6, by name", "sync", "sync", "fd64::2", "", []string{"fd64::1", "fd64::11"}, []string{"fd65::1"}},
		{"IPv6, the other one by name", "other", "other", "fd66::2", "fd65::1", []string{"fd65::1"}, []string{"fd64::1"}},
		{"IPv6, by address", "fd64::11", "", "fd64::2", "fd64::11", []string{"fd64::11"}, []string{"fd64::1", "fd65::1"}},
		{"IPv6, by an address that is not on the link", "fd66::1", "sync", "fd64::2", "fd66::1", []string{"fd66::1"}, []string{"fd64::1"}},
		{"IPv6, out by address", "sync", "fd64::11", "fd64::2", "fd64::11", []string{"fd64::1", "fd64::11"}, []string{"fd65::1"}},
		{"IPv6, link-local", "sync", "sync", "link-local", "link-local", []string{"fd64::1"}, nil},
	} {
		bed.run(c.name, func(t *testing.T, bed *testbed) {
			if c.peer == "link-local" {
				c.peer, c.from = linkLocal(t, bed.ns[1]).String(), linkLocal(t, bed.ns[0]).String()
			}
			peer := netip.MustParseAddr(c.peer)
			conn := bed.listen(1, peer)
			h := bed.unicast([]netip.Addr{{}, peer})[0]
			h.current.InInterface, h.current.OutInterface = c.in, c.out
			h.start()
			if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			_, from, err := conn.ReadFromUDPAddrPort(make([]byte, 2000))
			if err != nil || from.Port() != port || c.from != "" && from.Addr().Unmap().WithZone("").String() != c.from {
				t.Errorf("a datagram from %v, %v; want %s", from, err, c.from)
			}
			if peer.IsLinkLocalUnicast() {
				c.to = []string{c.from + "%sync"}
			}
			sent := 0
			for _, addresses := range [][]string{c.not, c.to} { // those that are heard arrive later than those that are not
				for _, to := range addresses {
					list := entries(t, jool4115, 100*sent, 1)
					sent++
					if _, err := conn.WriteToUDPAddrPort(list, netip.AddrPortFrom(netip.MustParseAddr(to), port)); err != nil {
						t.Fatal(err)
					}
				}
			}
			got := h.adds(len(c.to))
			if len(got) != len(c.to) {
				t.Errorf("%d lists are heard, want %d", len(got), len(c.to))
			}
			for i := range got {
				if want := entries(t, jool4115, 100*(len(c.not)+i), 1); !bytes.Equal(got[i].Entries, want) {
					t.Errorf("list %d is another one", i)
				}
			}
		})
	}
}

// TestUnicastReconfigure changes a worker: it opens another socket only if it must be bound to another address, and hears the peer
// before and after, even without "reuseaddr". A worker without a group takes the socket that the one before has left.
func TestUnicastReconfigure(t *testing.T) {
	bed := newTestbed(t, 2, routed)
	six, four := bed.six, bed.four
	for _, c := range []struct {
		name   string
		change func(*configdir.Spec)
		same   bool // the socket
	}{
		{"ttl", func(s *configdir.Spec) { s.TTL = 3 }, true},
		{"buffer", func(s *configdir.Spec) { s.ReceiveBuffer = 1 << 20 }, true},
		{"peers", func(s *configdir.Spec) {
			s.Peers = configdir.NewPeers(at(four[1], netip.MustParseAddr("192.0.2.9"))...)
		}, true},
		{"interfaces", func(s *configdir.Spec) { s.InInterface, s.OutInterface = "", "" }, true},
		{"in interface by address", func(s *configdir.Spec) { s.InInterface = four[0].String() }, false},
		{"port", func(s *configdir.Spec) { s.Port++ }, false},
		{"family", func(s *configdir.Spec) { s.Peers, s.TTL = configdir.NewPeers(at(six[1])...), 9 }, false},
	} {
		bed.run(c.name, func(t *testing.T, bed *testbed) {
			h := bed.unicast(four)[0].start()
			before := h.spec()
			changed := before
			c.change(&changed)
			for i, spec := range []configdir.Spec{changed, before} {
				fd := h.running.socket.fd
				if err := h.Reconfigure(spec); err != nil {
					t.Fatal(err)
				}
				if same := h.running.socket.fd == fd; same != c.same {
					t.Errorf("the same socket: %v, want %v", same, c.same)
				}
				reuse, err := unix.GetsockoptInt(h.running.socket.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR)
				if err != nil || reuse != 0 {
					t.Errorf("SO_REUSEADDR is %d, %v", reuse, err)
				}
				level, opt := unix.IPPROTO_IP, unix.IP_TTL
				if !spec.Is4() {
					level, opt = unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS
				}
				if hops, err := unix.GetsockoptInt(h.running.socket.fd, level, opt); err != nil || hops != spec.TTL {
					t.Errorf("the ttl is %d, %v; want %d", hops, err, spec.TTL)
				}
				to, from := four[0], four[1]
				if !spec.Is4() {
					to, from = six[0], six[1]
				}
				bed.dial(1, netip.AddrPortFrom(from, 0), netip.AddrPortFrom(to, spec.Port)).send(entries(t, jool4115, 100*i, 1))
				h.adds(i + 1)
			}
			h.noLosses()
		})
	}
}

// TestUnicastHandover ends a worker without a group, and starts the next one of the next process: it hears what was sent meanwhile,
// unless it has to be bound to another address.
func TestUnicastHandover(t *testing.T) {
	bed := newTestbed(t, 2, routed)
	four := bed.four
	for _, c := range []struct {
		name   string
		change func(*configdir.Spec)
		heard  bool
	}{
		{"as before", func(*configdir.Spec) {}, true},
		{"another peer", func(s *configdir.Spec) {
			s.Peers = configdir.NewPeers(at(four[1], netip.MustParseAddr("192.0.2.9"))...)
		}, true},
		{"another address", func(s *configdir.Spec) { s.InInterface = four[0].String() }, false},
	} {
		bed.run(c.name, func(t *testing.T, bed *testbed) {
			h := bed.unicast(four)[0]
			h.current.Sequence, h.current.ReuseAddr = false, true
			l, spec := startLeaving(h), h.spec()
			l.leave()
			peer := bed.dial(1, netip.AddrPortFrom(four[1], 0), at(four[0])[0])
			meanwhile, afterwards := entries(t, jool4115, 1, 3), entries(t, jool4115, 50, 2)
			peer.send(meanwhile)
			c.change(&spec)
			l.next(spec)
			peer.send(afterwards)
			want := [][]byte{afterwards}
			if c.heard {
				want = [][]byte{meanwhile, afterwards}
			}
			same(t, l.adds(len(want)), want...)
		})
	}
}

// TestUnicastClaims has a second pair use the port of the first one.
func TestUnicastClaims(t *testing.T) {
	bed := newTestbed(t, 2, routed)
	four := bed.four
	h := bed.unicast(four)[0]
	h.current.ReuseAddr = true
	h.start()
	for _, c := range []struct {
		name   string
		change func(*configdir.Spec)
		taken  bool
	}{
		{"the same port", func(*configdir.Spec) {}, true},
		{"another interface", func(s *configdir.Spec) { s.InInterface = "lo" }, true},
		{"an address", func(s *configdir.Spec) { s.InInterface = four[0].String() }, true},
		{"another port", func(s *configdir.Spec) { s.Port++ }, false},
	} {
		bed.run(c.name, func(t *testing.T, bed *testbed) {
			spec := h.spec()
			spec.Name, spec.Instance = "second", "other"
			c.change(&spec)
			second := h.beside(spec)
			second.env.Claims = h.env.Claims
			err := second.tryStart()
			second.cancel()
			_ = second.end()
			if taken := err != nil && strings.Contains(err.Error(), `UDP port 6464 on every address in namespace "`+bed.ns[0]+`" is pair "pair"'s too`) ||
				err != nil && strings.Contains(err.Error(), `UDP port 6464 on `+four[0].String()+` in namespace "`+bed.ns[0]+`" is pair "pair"'s too`); taken != c.taken {
				t.Errorf("taken: %v, %v", taken, err)
			}
		})
	}
}
