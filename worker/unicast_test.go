package worker

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/configdir"
	"joolctl/nsthread"
	"joolctl/nsthread/nstest"
	"joolctl/packetio"
	"joolctl/seal"
	"joolctl/session"
	"joolctl/syncwire"
)

// insideOf calls fn on a thread in a namespace.
func insideOf(t testing.TB, ns string, fn func() error) {
	t.Helper()
	th, err := nsthread.NewPool().Get(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer th.Release()
	if doErr := th.Do(func() { err = fn() }); err != nil || doErr != nil {
		t.Fatal(err, doErr)
	}
}

// routed connects n namespaces by a router, each by a link of its own that is called "sync". It returns their addresses by family.
func routed(t testing.TB, n int) (names []string, six, four []netip.Addr) {
	t.Helper()
	router := nstest.New(t)
	for i := range n {
		ns := nstest.New(t)
		nstest.Veth(t,
			nstest.End{Namespace: ns, Name: "sync", Addrs: []string{fmt.Sprintf("fd64:%d::2/64", i), fmt.Sprintf("10.64.%d.2/24", i)}},
			nstest.End{Namespace: router, Name: fmt.Sprintf("port%d", i), Addrs: []string{fmt.Sprintf("fd64:%d::1/64", i), fmt.Sprintf("10.64.%d.1/24", i)}})
		nstest.IP(t, ns, fmt.Sprintf("route add default via 10.64.%d.1", i), fmt.Sprintf("route add ::/0 via fd64:%d::1", i))
		names = append(names, ns)
		six = append(six, netip.MustParseAddr(fmt.Sprintf("fd64:%d::2", i)))
		four = append(four, netip.MustParseAddr(fmt.Sprintf("10.64.%d.2", i)))
	}
	insideOf(t, router, func() error {
		for _, file := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
			if err := os.WriteFile("/proc/sys/net/"+file, []byte("1"), 0); err != nil {
				return err
			}
		}
		return nil
	})
	return names, six, four
}

// at returns addresses with the port of the tests.
func at(addresses ...netip.Addr) (peers []netip.AddrPort) {
	for _, a := range addresses {
		peers = append(peers, netip.AddrPortFrom(a, port))
	}
	return peers
}

// unicastSpec returns the spec of a pair without a group.
func unicastSpec(ns string, peers ...netip.AddrPort) configdir.Spec {
	spec := standbySpec(ns)
	spec.Group, spec.Peers, spec.TTL = netip.Addr{}, configdir.NewPeers(peers...), 64
	return spec
}

// newUnicast returns hosts that have each other as peers. The first one's instance has sessions.
func newUnicast(t testing.TB, names []string, addresses []netip.Addr, records ...session.Record) (all []*host) {
	t.Helper()
	for i, ns := range names {
		others := slices.Delete(slices.Clone(addresses), i, i+1)
		h := newStandby(t, jool4115, ns)
		h.current = unicastSpec(ns, at(others...)...)
		if i == 0 {
			h.instance.Sessions.Put(records...)
		}
		all = append(all, h)
	}
	return all
}

// noLosses checks that a host has no losses but those that a start may cause with a key.
func (h *host) noLosses() {
	h.t.Helper()
	l := h.counters.Losses()
	if l.Unconfirmed = 0; l != (Losses{}) {
		h.t.Errorf("losses %+v", l)
	}
}

// TestUnicast has two and three hosts exchange their tables and live sessions across a router.
func TestUnicast(t *testing.T) {
	key := seal.NewKey(7)
	for _, n := range []int{2, 3} {
		for _, family := range []string{"IPv6", "IPv4"} {
			for _, mode := range []configdir.Security{configdir.SecurityOff, configdir.SecurityRequire} {
				t.Run(fmt.Sprintf("%d hosts, %s, %v", n, family, mode), func(t *testing.T) {
					t.Parallel()
					names, addresses, four := routed(t, n)
					if family == "IPv4" {
						addresses = four
					}
					all := newUnicast(t, names, addresses, sessionsAt(0, 500)...)
					// Each host has a port of its own.
					for i, h := range all {
						var peers []netip.AddrPort
						for k := range all {
							if k != i {
								peers = append(peers, netip.AddrPortFrom(addresses[k], uint16(port+k)))
							}
						}
						h.current.Port, h.current.Peers = uint16(port+i), configdir.NewPeers(peers...)
						if mode.Keyed() {
							h.keyed(mode, key)
						}
						h.start()
					}
					for _, h := range all {
						h.synced()
					}
					for _, h := range all[1:] {
						become(t, all[0], h)
					}
					live := sessionsAt(1000, 90)
					for i := range live {
						all[i%n].report(live[i])
					}
					for i, h := range all {
						eventually(t, "the live sessions cross", func() bool { return h.has(live) })
						h.noLosses()
						eventually(t, "all peers are heard", func() bool { return len(h.Peers()) == n-1 })
						for _, peer := range h.Peers() {
							if peer.Address == addresses[i] || !slices.Contains(addresses, peer.Address) {
								t.Errorf("host %d has the peer %v", i, peer.Address)
							}
						}
					}
				})
			}
		}
	}
}

// TestUnreachablePeer has one of two peers be out of reach. The other one gets everything, and the log names the address.
func TestUnreachablePeer(t *testing.T) {
	key := seal.NewKey(7)
	for _, mode := range []configdir.Security{configdir.SecurityOff, configdir.SecurityRequire} {
		t.Run(mode.String(), func(t *testing.T) {
			names, _, addresses := routed(t, 2)
			gone := netip.MustParseAddr("10.0.0.9")
			nstest.IP(t, names[0], "route add unreachable 10.0.0.9/32")
			all := newUnicast(t, names, addresses, sessionsAt(0, 500)...)
			all[0].current.Peers = configdir.NewPeers(at(gone, addresses[1])...)
			all[0].current.OutInterface = "" // with one, the kernel takes each address for one on that link
			for _, h := range all {
				if mode.Keyed() {
					h.keyed(mode, key)
				}
				h.start()
			}
			all[0].synced()
			all[1].synced()
			live := sessionsAt(1000, 200)
			all[0].report(live...)
			eventually(t, "the live sessions cross", func() bool { return all[1].has(live) })
			become(t, all[0], all[1])
			all[1].noLosses()
			l, ledger := all[0].counters.Losses(), all[0].counters.Ledger()
			if l.SendErrors == 0 || ledger.Unsent != 0 || ledger.Sent < 200 {
				t.Errorf("losses %+v, ledger %+v", l, ledger)
			}
			for _, what := range []string{"a control message could not be sent to a peer", "a datagram with sessions could not be sent to a peer"} {
				if n := all[0].log.count(what + `" pair=pair peer=10.0.0.9:6464`); n == 0 {
					t.Errorf("the log does not say that %s: %s", what, all[0].log.text.String())
				}
			}
		})
	}
}

// TestRelist removes one of three peers from the lists of the others and adds it again, while sessions flow. The other two lose nothing,
// need no full sync and keep their sockets. The third gets what it has missed.
func TestRelist(t *testing.T) {
	names, addresses, _ := routed(t, 3)
	all := newUnicast(t, names, addresses, sessionsAt(0, 200)...)
	key := seal.NewKey(1)
	for _, h := range all {
		h.keyed(configdir.SecurityRequire, key).start()
	}
	for _, h := range all {
		h.synced()
		h.linked(2)
	}
	stays := all[:2]
	syncs := []FullSyncs{all[0].counters.FullSyncs(), all[1].counters.FullSyncs()}
	var fds []int
	for _, h := range stays {
		fds = append(fds, h.running.socket.fd)
	}
	reported := 1000
	traffic := func(hosts ...*host) (records []session.Record) {
		for range 30 {
			for _, h := range hosts {
				r := sessionAt(reported, 0)
				reported++
				h.report(r)
				records = append(records, r)
			}
		}
		return records
	}
	relist := func(peers func(i int) []netip.Addr) (records []session.Record) {
		for i, h := range stays {
			records = append(records, traffic(stays...)...)
			spec := h.spec()
			spec.Peers = configdir.NewPeers(at(peers(i)...)...)
			if err := h.Reconfigure(spec); err != nil {
				t.Fatal(err)
			}
			records = append(records, traffic(stays...)...)
		}
		return records
	}
	without := relist(func(i int) []netip.Addr { return []netip.Addr{addresses[1-i]} })
	missed := traffic(stays...)
	for _, h := range stays {
		eventually(t, "the sessions cross", func() bool { return h.has(append(without, missed...)) })
		eventually(t, "the third host is no peer", func() bool { return len(h.Peers()) == 1 })
		if s := h.Sync(); s.Synced != syncwire.SyncYes {
			t.Errorf("%+v", s)
		}
	}
	if all[2].has(missed) {
		t.Error("the removed host gets sessions")
	}
	own := traffic(all[2])
	eventually(t, "datagrams of the removed host are dropped", func() bool {
		return all[0].counters.Losses().Unlisted > 0 && all[1].counters.Losses().Unlisted > 0
	})
	with := relist(func(i int) []netip.Addr { return []netip.Addr{addresses[1-i], addresses[2]} })
	for i, h := range all {
		within(t, 3*patience, fmt.Sprintf("host %d has all sessions", i), func() bool { return h.has(slices.Concat(without, missed, own, with)) })
	}
	for i, h := range stays {
		l := h.counters.Losses()
		if l.Unlisted, l.Unconfirmed = 0, 0; l.NetworkLost != 0 || l.SendErrors != 0 || l.Malformed != 0 || l.SocketDrops != 0 {
			t.Errorf("losses %+v", l)
		}
		for _, peer := range h.Peers() {
			if peer.Address == addresses[1-i] && (peer.Lost != 0 || peer.Repaired != 0) {
				t.Errorf("host %d has lost %d datagrams of the other one, and repaired %d", i, peer.Lost, peer.Repaired)
			}
		}
		if h.running.socket.fd != fds[i] {
			t.Errorf("host %d has opened another socket", i)
		}
		if i == 1 && h.counters.FullSyncs().Interrupted != syncs[i].Interrupted {
			t.Errorf("full syncs %+v, then %+v", syncs[i], h.counters.FullSyncs())
		}
	}
}

// dial opens an ordinary socket in a namespace that sends to an address.
func dial(t testing.TB, ns string, from netip.AddrPort, to netip.AddrPort) (c *net.UDPConn) {
	t.Helper()
	insideOf(t, ns, func() (err error) {
		c, err = net.DialUDP("udp", net.UDPAddrFromAddrPort(from), net.UDPAddrFromAddrPort(to))
		return err
	})
	t.Cleanup(func() { c.Close() })
	return c
}

// TestUnlistedSender has a host that is not listed send clear and sealed datagrams: one counter changes, the status has the address, and
// the log has one line. A listed peer may send from any port.
func TestUnlistedSender(t *testing.T) {
	for _, mode := range []configdir.Security{configdir.SecurityOff, configdir.SecurityRequire} {
		t.Run(mode.String(), func(t *testing.T) {
			names, addresses, _ := routed(t, 3)
			h := newUnicast(t, names[:2], addresses[:2])[0]
			if mode.Keyed() {
				h.keyed(mode, seal.NewKey(1))
			}
			h.start()
			stranger := dial(t, names[2], netip.AddrPort{}, at(addresses[0])[0])
			sealed := seal.NewChannel(seal.NewKeys(seal.NewKey(1)), seal.Context{}, time.Now()).Greet(nil, time.Now())
			for _, b := range [][]byte{entries(t, jool4115, 0, 3), sealed, nil, make([]byte, 4000), []byte("x")} {
				if _, err := stranger.Write(b); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "the datagrams are counted", func() bool { return h.counters.Losses() == Losses{Unlisted: 5} })
			if s := h.Sync(); s.Unlisted != addresses[2] || time.Since(s.UnlistedAt) > patience {
				t.Errorf("the last unlisted sender is %v, at %v", s.Unlisted, s.UnlistedAt)
			}
			if n := h.log.count("an address that \\\"peers\\\" does not list"); n != 1 || h.log.count(addresses[2].String()) != 1 {
				t.Errorf("%d lines: %s", n, h.log.text.String())
			}
			if len(h.Peers()) != 0 || h.instance.Sessions.Len() != 0 {
				t.Errorf("%d sessions, peers %+v", h.instance.Sessions.Len(), h.Peers())
			}
			if mode.Keyed() {
				return
			}
			if _, err := dial(t, names[1], netip.AddrPortFrom(addresses[1], 4711), at(addresses[0])[0]).Write(entries(t, jool4115, 0, 3)); err != nil {
				t.Fatal(err)
			}
			h.adds(1)
		})
	}
}

// TestRestrictedGroup has three hosts in a group. Two of them list each other, and ignore the third.
func TestRestrictedGroup(t *testing.T) {
	bothFamilies(t, func(t *testing.T, group netip.Addr) {
		names := lan(t, 3)
		var all []*host
		for i, ns := range names {
			h := newStandby(t, jool4115, ns, sessionsAt(100*i, 50)...)
			h.current.Group = group
			if i < 2 {
				address := netip.MustParseAddr(fmt.Sprintf("fd64::%d", 2-i))
				if group.Is4() {
					address = netip.MustParseAddr(fmt.Sprintf("10.64.0.%d", 2-i))
				}
				h.current.Peers = configdir.NewPeers(netip.AddrPortFrom(address, 0))
			}
			all = append(all, h.start())
		}
		all[0].synced()
		all[1].synced()
		all[2].report(sessionAt(5000, 0))
		all[0].report(sessionAt(6000, 0))
		for i, h := range all[1:] {
			eventually(t, fmt.Sprintf("host %d has a live session", i), func() bool { return h.has([]session.Record{sessionAt(6000, 0)}) })
		}
		for i, h := range all[:2] {
			eventually(t, "the third host's datagrams are dropped", func() bool { return h.counters.Losses().Unlisted > 0 })
			l := h.counters.Losses()
			if l.Unlisted = 0; l != (Losses{}) || h.instance.Sessions.Len() != 101 || len(h.Peers()) != 1 {
				t.Errorf("host %d: %d sessions, peers %+v, losses %+v", i, h.instance.Sessions.Len(), h.Peers(), l)
			}
		}
	})
}

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

// TestUnicastInterfaces has two namespaces with two links. "in interface" and "out interface" choose between them and the addresses.
func TestUnicastInterfaces(t *testing.T) {
	a, b := hosts(t)
	nstest.Veth(t,
		nstest.End{Namespace: a, Name: "other", Addrs: []string{"fd65::1/64", "10.65.0.1/24"}},
		nstest.End{Namespace: b, Name: "other", Addrs: []string{"fd65::2/64", "10.65.0.2/24"}})
	nstest.IP(t, a, "address add 10.64.0.11/24 dev sync", "address add fd64::11/64 dev sync nodad", "link set lo up", "address add 10.66.0.1/32 dev lo", "address add fd66::1/128 dev lo nodad")
	nstest.IP(t, b, "route add 10.66.0.1/32 via 10.64.0.1", "route add fd66::1/128 via fd64::1", "link set lo up", "address add 10.66.0.2/32 dev lo", "address add fd66::2/128 dev lo nodad")
	nstest.IP(t, a, "route add 10.66.0.2/32 via 10.64.0.2 metric 10", "route add 10.66.0.2/32 via 10.65.0.2 metric 2000",
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
		t.Run(c.name, func(t *testing.T) {
			if c.peer == "link-local" {
				c.peer, c.from = linkLocal(t, b).String(), linkLocal(t, a).String()
			}
			peer := netip.MustParseAddr(c.peer)
			var conn *net.UDPConn
			insideOf(t, b, func() (err error) {
				network, bound := "udp4", net.UDPAddr{IP: peer.AsSlice(), Port: port}
				if peer.Is6() {
					network = "udp6"
				}
				if peer.IsLinkLocalUnicast() {
					bound.Zone = "sync"
				}
				conn, err = net.ListenUDP(network, &bound)
				return err
			})
			defer conn.Close()
			h := newStandby(t, jool4115, a)
			h.current = unicastSpec(a, at(peer)...)
			h.current.InInterface, h.current.OutInterface = c.in, c.out
			h.start()
			defer h.stop()
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
	names, six, four := routed(t, 2)
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
		t.Run(c.name, func(t *testing.T) {
			h := newStandby(t, jool4115, names[0])
			h.current = unicastSpec(names[0], at(four[1])...)
			h.start()
			defer h.stop()
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
				if _, err := dial(t, names[1], netip.AddrPortFrom(from, 0), netip.AddrPortFrom(to, spec.Port)).Write(entries(t, jool4115, 100*i, 1)); err != nil {
					t.Fatal(err)
				}
				h.adds(i + 1)
			}
			h.noLosses()
		})
	}
}

// TestUnicastHandover ends a worker without a group, and starts the next one of the next process: it hears what was sent meanwhile,
// unless it has to be bound to another address.
func TestUnicastHandover(t *testing.T) {
	names, _, four := routed(t, 2)
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
		t.Run(c.name, func(t *testing.T) {
			spec := unicastSpec(names[0], at(four[1])...)
			spec.Sequence, spec.ReuseAddr = false, true
			l := startLeaving(t, spec)
			l.leave()
			peer := dial(t, names[1], netip.AddrPortFrom(four[1], 0), at(four[0])[0])
			meanwhile, afterwards := entries(t, jool4115, 1, 3), entries(t, jool4115, 50, 2)
			if _, err := peer.Write(meanwhile); err != nil {
				t.Fatal(err)
			}
			c.change(&spec)
			l.next(spec)
			if _, err := peer.Write(afterwards); err != nil {
				t.Fatal(err)
			}
			want := [][]byte{afterwards}
			if c.heard {
				want = [][]byte{meanwhile, afterwards}
			}
			same(t, l.adds(len(want)), want...)
		})
	}
}

// TestUnicastAudience has a host with two peers, one of which requests its table: only that one gets BEGIN, BULKs and END.
func TestUnicastAudience(t *testing.T) {
	names, addresses, _ := routed(t, 3)
	h := newUnicast(t, names, addresses, sessionsAt(0, 500)...)[0].start()
	var peers []*plain
	for i, ns := range names[1:] {
		p := &plain{UDPConn: dial(t, ns, at(addresses[i+1])[0], at(addresses[0])[0]), t: t}
		if err := p.buffer(1 << 20); err != nil {
			t.Fatal(err)
		}
		peers = append(peers, p)
	}
	say := func(i int, body syncwire.Body) {
		if _, err := peers[i].Write(syncwire.Message{Sender: syncwire.ID(0x100 + i), Body: body}.Append(nil)); err != nil {
			t.Fatal(err)
		}
	}
	read := func(i int) syncwire.Message {
		if err := peers[i].SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 2000)
		n, err := peers[i].Read(b)
		if err != nil {
			t.Fatal(err)
		}
		m, err := syncwire.Parse(b[:n])
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	for i := range peers {
		say(i, &syncwire.Hello{Sync: syncwire.SyncYes, NextIn: 10, Settings: ttl, Generation: 1})
	}
	eventually(t, "both peers are heard", func() bool { return len(h.Peers()) == 2 })
	var self syncwire.ID
	_ = h.running.thread.Do(func() { self = h.running.host.Knowledge.Self() })
	say(0, &syncwire.Solicit{To: self})
	seen := make(map[string]int)
	for seen["*syncwire.End"] == 0 {
		m := read(0)
		seen[fmt.Sprintf("%T", m.Body)]++
	}
	if seen["*syncwire.Bulk"] != 13 || seen["*syncwire.Begin"] == 0 {
		t.Errorf("the peer that has requested the table gets %v", seen)
	}
	say(1, &syncwire.Hello{Asks: true, Sync: syncwire.SyncYes, NextIn: 10, Settings: ttl, Generation: 1})
	for range 3 { // HELLOs, the last of which was sent after END
		switch m := read(1); m.Body.(type) {
		case *syncwire.Hello, *syncwire.Solicit:
		default:
			t.Errorf("the other peer gets %T", m.Body)
		}
		say(1, &syncwire.Hello{Asks: true, Sync: syncwire.SyncYes, NextIn: 10, Settings: ttl, Generation: 1})
	}
}

// TestUnicastClaims has a second pair use the port of the first one.
func TestUnicastClaims(t *testing.T) {
	names, _, four := routed(t, 2)
	h := newStandby(t, jool4115, names[0])
	h.current = unicastSpec(names[0], at(four[1])...)
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
		t.Run(c.name, func(t *testing.T) {
			spec := h.spec()
			spec.Name, spec.Instance = "second", "other"
			c.change(&spec)
			second := h.beside(spec)
			second.env.Claims = h.env.Claims
			err := second.tryStart()
			second.cancel()
			_ = second.end()
			if taken := err != nil && strings.Contains(err.Error(), `UDP port 6464 on every address in namespace "`+names[0]+`" is pair "pair"'s too`) ||
				err != nil && strings.Contains(err.Error(), `UDP port 6464 on `+four[0].String()+` in namespace "`+names[0]+`" is pair "pair"'s too`); taken != c.taken {
				t.Errorf("taken: %v, %v", taken, err)
			}
		})
	}
}

// TestUnicastNoAllocations checks that datagrams for several peers, datagrams of a peer and unlisted ones allocate no memory.
func TestUnicastNoAllocations(t *testing.T) {
	const runs = 50
	own, peer, silent := netip.MustParseAddr("fd64::1"), netip.MustParseAddr("fd64::2"), netip.MustParseAddr("fd64::3")
	driveSpec(t, jool4115, func(spec *configdir.Spec) {
		spec.Group, spec.Peers, spec.TTL = netip.Addr{}, configdir.NewPeers(at(silent, peer)...), 64
	}, func(d *driven) {
		d.to = packetio.NewSender(at(own)[0], 0)
		for _, together := range []int{1, 3, batch + 2} {
			d.outNoAllocations(jool4115, together, runs)
		}
		for _, together := range []int{1, batch} {
			lists := d.numbered(d.newLists(session.Packed40, together*(runs+1)))
			d.none(fmt.Sprintf("%d datagrams of a peer", together), runs, func(i int) {
				d.receive(lists[together*i : together*(i+1)]...)
			})
		}
		if l := d.w.counters.Losses(); l != (Losses{}) {
			t.Errorf("losses %+v", l)
		}
		d.socket.listed = configdir.NewPeers(at(silent)...)
		d.unlistedAt = time.Now().Add(time.Hour) // the log line and the status allocate, once a second
		list := entries(t, jool4115, 0, 3)
		d.none("unlisted datagrams", runs, func(i int) {
			if err := d.to.Send(d.group, list); err != nil {
				panic(err)
			}
			d.wait(d.socket.fd)
			d.fromNetwork()
		})
		if l := d.w.counters.Losses(); l != (Losses{Unlisted: runs + 1}) {
			t.Errorf("losses %+v", l)
		}
	})
}
