package worker

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"joolctl/configdir"
	"joolctl/seal"
	"joolctl/session"
	"joolctl/syncwire"
)

// TestRelist removes one of three peers from the lists of the others and adds it again, while sessions flow. The other two lose nothing,
// need no full sync and keep their sockets. The third gets what it has missed.
func TestRelist(t *testing.T) {
	bed := newTestbed(t, 3, routed)
	addresses := bed.six
	all := bed.unicast(addresses, sessionsAt(0, 200)...)
	key := seal.NewKey(1)
	for _, h := range all {
		h.keyed(configdir.SecurityRequire, key).start()
	}
	for _, h := range all {
		h.synced()
		h.linked(2)
	}
	g := &relisted{stays: all[:2], next: 1000}
	fds := []int{all[0].running.socket.fd, all[1].running.socket.fd}
	interrupted := all[1].counters.FullSyncs().Interrupted
	without := g.relist(func(i int) []netip.Addr { return []netip.Addr{addresses[1-i]} })
	missed := g.traffic(g.stays...)
	for _, h := range g.stays {
		eventually(t, "the sessions cross", func() bool { return h.has(append(without, missed...)) })
		eventually(t, "the third host is no peer", func() bool { return len(h.Peers()) == 1 })
		if s := h.Sync(); s.Synced != syncwire.SyncYes {
			t.Errorf("%+v", s)
		}
	}
	if all[2].has(missed) {
		t.Error("the removed host gets sessions")
	}
	own := g.traffic(all[2])
	eventually(t, "datagrams of the removed host are dropped", func() bool {
		return all[0].counters.Losses().Unlisted > 0 && all[1].counters.Losses().Unlisted > 0
	})
	with := g.relist(func(i int) []netip.Addr { return []netip.Addr{addresses[1-i], addresses[2]} })
	for i, h := range all {
		within(t, 3*patience, fmt.Sprintf("host %d has all sessions", i), func() bool { return h.has(slices.Concat(without, missed, own, with)) })
	}
	for i, h := range g.stays {
		h.lostNothing(addresses[1-i])
		if h.running.socket.fd != fds[i] {
			t.Errorf("host %d has opened another socket", i)
		}
	}
	if n := all[1].counters.FullSyncs().Interrupted; n != interrupted {
		t.Errorf("%d full syncs were interrupted", n-interrupted)
	}
}

// relisted has the hosts whose lists change, and the number of the next session.
type relisted struct {
	stays []*host
	next  int
}

// traffic reports sessions on some hosts.
func (g *relisted) traffic(hosts ...*host) (records []session.Record) {
	for range 30 {
		for _, h := range hosts {
			r := sessionAt(g.next, 0)
			g.next++
			h.report(r)
			records = append(records, r)
		}
	}
	return records
}

// relist changes the lists, one after the other, while sessions flow.
func (g *relisted) relist(peers func(i int) []netip.Addr) (records []session.Record) {
	for i, h := range g.stays {
		records = append(records, g.traffic(g.stays...)...)
		h.reconfigure(func(s *configdir.Spec) { s.Peers = configdir.NewPeers(at(peers(i)...)...) })
		records = append(records, g.traffic(g.stays...)...)
	}
	return records
}

// lostNothing checks that no datagram of a peer was lost, not even until its retransmission.
func (h *host) lostNothing(of netip.Addr) {
	h.t.Helper()
	if l := h.counters.Losses(); l.NetworkLost != 0 || l.SendErrors != 0 || l.Malformed != 0 || l.SocketDrops != 0 {
		h.t.Errorf("losses %+v", l)
	}
	for _, peer := range h.Peers() {
		if peer.Address == of && (peer.Lost != 0 || peer.Repaired != 0) {
			h.t.Errorf("%d datagrams of %v are lost, and %d were retransmitted", peer.Lost, of, peer.Repaired)
		}
	}
}

// TestUnlistedSender has a host that is not listed send clear and sealed datagrams: one counter changes, the status has the address, and
// the log has one line. A listed peer may send from any port.
func TestUnlistedSender(t *testing.T) {
	for _, mode := range []configdir.Security{configdir.SecurityOff, configdir.SecurityRequire} {
		t.Run(mode.String(), func(t *testing.T) {
			bed := newTestbed(t, 3, routed)
			addresses := bed.six
			h := bed.unicast(addresses[:2])[0]
			if mode.Keyed() {
				h.keyed(mode, seal.NewKey(1))
			}
			h.start()
			stranger := bed.dial(2, netip.AddrPort{}, at(addresses[0])[0])
			sealed := seal.NewChannel(seal.NewKeys(seal.NewKey(1)), seal.Context{}, time.Now()).Greet(nil, time.Now())
			for _, b := range [][]byte{entries(t, jool4115, 0, 3), sealed, nil, make([]byte, 4000), []byte("x")} {
				stranger.send(b)
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
			h.reconfigure(func(s *configdir.Spec) { s.Peers = configdir.NewPeers(at(addresses[1:]...)...) })
			if s := h.Sync(); s.Unlisted.IsValid() {
				t.Errorf("%v is listed, and counts as unlisted", s.Unlisted)
			}
			if mode.Keyed() {
				return
			}
			bed.dial(1, netip.AddrPortFrom(addresses[1], 4711), at(addresses[0])[0]).send(entries(t, jool4115, 0, 3))
			h.adds(1)
		})
	}
}

// TestRestrictedGroup has three hosts in a group. Two of them list each other, and ignore the third.
func TestRestrictedGroup(t *testing.T) {
	newTestbed(t, 3).bothFamilies(func(t *testing.T, bed *testbed) {
		addresses := bed.six
		if bed.group.Is4() {
			addresses = bed.four
		}
		var all []*host
		for i := range bed.ns {
			h := bed.standby(i, sessionsAt(100*i, 50)...)
			if i < 2 {
				h.current.Peers = configdir.NewPeers(netip.AddrPortFrom(addresses[1-i], 0))
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

// TestWelcome adds a peer to the list of a running host: the host asks it for a HELLO, and sends a greeting if it has a key.
func TestWelcome(t *testing.T) {
	for _, mode := range []configdir.Security{configdir.SecurityOff, configdir.SecurityRequire} {
		t.Run(mode.String(), func(t *testing.T) {
			bed := newTestbed(t, 3, routed)
			addresses := bed.six
			h := bed.unicast(addresses[:2])[0]
			key := seal.NewKey(1)
			if mode.Keyed() {
				h.keyed(mode, key)
			}
			h.start().alone()
			added := bed.dial(2, at(addresses[2])[0], at(addresses[0])[0])
			began := time.Now()
			h.reconfigure(func(s *configdir.Spec) { s.Peers = configdir.NewPeers(at(addresses[1:]...)...) })
			if mode.Keyed() {
				// The HELLO is first if another greeting has just left: greetings are 100 ms apart. It asks again when the peer has confirmed.
				channel, outcomes := seal.NewChannel(seal.NewKeys(key), seal.Context{}, began), []seal.Outcome(nil)
				for len(outcomes) < 2 && !slices.Contains(outcomes, seal.Greeting) {
					b, _ := added.receive()
					_, outcome := channel.Open(b, time.Now())
					outcomes = append(outcomes, outcome)
				}
				if late := time.Since(began) > 2*time.Second; late || !slices.Contains(outcomes, seal.Greeting) { // the next regular one is later
					t.Errorf("the first datagrams are %d, and none is a greeting", outcomes)
				}
				return
			}
			b, _ := added.receive()
			m, err := syncwire.Parse(b)
			if hello, is := m.Body.(*syncwire.Hello); err != nil || !is || !hello.Asks {
				t.Errorf("the first message is %+v, %v", m.Body, err)
			}
		})
	}
}
