package worker

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

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
