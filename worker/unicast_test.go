package worker

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"joolctl/configdir"
	"joolctl/nsthread/nstest"
	"joolctl/packetio"
	"joolctl/seal"
	"joolctl/session"
	"joolctl/syncwire"
)

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
					bed := newTestbed(t, n, routed)
					addresses := bed.six
					if family == "IPv4" {
						addresses = bed.four
					}
					all := bed.unicast(addresses, sessionsAt(0, 500)...)
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
			bed := newTestbed(t, 2, routed)
			gone := netip.MustParseAddr("10.0.0.9")
			nstest.IP(t, bed.ns[0], "route add unreachable 10.0.0.9/32")
			all := bed.unicast(bed.four, sessionsAt(0, 500)...)
			all[0].current.Peers = configdir.NewPeers(at(gone, bed.four[1])...)
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
	bed := newTestbed(t, 3, routed)
	h := bed.unicast(bed.six, sessionsAt(0, 500)...)[0].start()
	asks, other := bed.dial(1, at(bed.six[1])[0], at(bed.six[0])[0]), bed.dial(2, at(bed.six[2])[0], at(bed.six[0])[0])
	asks.id, other.id = 0x100, 0x101
	for _, p := range []*peer{asks, other} {
		p.say(&syncwire.Hello{Sync: syncwire.SyncYes, NextIn: 10, Settings: ttl, Generation: 1})
	}
	eventually(t, "both peers are heard", func() bool { return len(h.Peers()) == 2 })
	var self syncwire.ID
	h.onThread(func(p *pumps) { self = p.host.Knowledge.Self() })
	asks.say(&syncwire.Solicit{To: self})
	seen := make(map[string]int)
	for seen["*syncwire.End"] == 0 {
		seen[fmt.Sprintf("%T", asks.message().Body)]++
	}
	if seen["*syncwire.Bulk"] != 13 || seen["*syncwire.Begin"] == 0 {
		t.Errorf("the peer that has requested the table gets %v", seen)
	}
	other.say(&syncwire.Hello{Asks: true, Sync: syncwire.SyncYes, NextIn: 10, Settings: ttl, Generation: 1})
	for range 3 { // HELLOs, the last of which was sent after END
		switch m := other.message(); m.Body.(type) {
		case *syncwire.Hello, *syncwire.Solicit:
		default:
			t.Errorf("the other peer gets %T", m.Body)
		}
		other.say(&syncwire.Hello{Asks: true, Sync: syncwire.SyncYes, NextIn: 10, Settings: ttl, Generation: 1})
	}
}

// TestUnicastNoAllocations checks that datagrams for several peers, datagrams of a peer and unlisted ones allocate no memory.
func TestUnicastNoAllocations(t *testing.T) {
	const runs = 50
	own, peer, silent := netip.MustParseAddr("fd64::1"), netip.MustParseAddr("fd64::2"), netip.MustParseAddr("fd64::3")
	h := newTestbed(t, 2).standby(0)
	h.current.Group, h.current.Peers, h.current.TTL = netip.Addr{}, configdir.NewPeers(at(silent, peer)...), 64
	h.step(func(d *stepped) {
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
		d.none("unlisted datagrams", runs, func(int) { d.hear(list) })
		if l := d.w.counters.Losses(); l != (Losses{Unlisted: runs + 1}) {
			t.Errorf("losses %+v", l)
		}
	})
}
