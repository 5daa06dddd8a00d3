package guest

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"joolctl/session"
)

// TestTie has two hosts with the same sessions, idle for the same time, in different states or under different masks. A
// full sync makes the tables equal: the state that is further on and the lower mask win.
func TestTie(t *testing.T) {
	enter(t, "test")
	t.Parallel()
	top := newTopology(t)
	const idle = 10 * time.Second
	between := func(proto session.Proto, port, mask uint16) session.Session {
		return session.Session{
			Proto:   proto,
			Src6:    netip.AddrPortFrom(netip.MustParseAddr(addr6), port),
			Dst6:    dst6(80),
			Src4:    netip.AddrPortFrom(netip.MustParseAddr(pool4), mask),
			Dst4:    netip.AddrPortFrom(netip.MustParseAddr(addr4), 80),
			Expires: 5*time.Minute - idle,
		}
	}
	established := func(port uint16) session.Session {
		s := between(session.TCP, port, 60000+port)
		s.Expires = 2*time.Hour - idle
		return s
	}
	opening := func(port uint16) session.Session {
		s := between(session.TCP, port, 60000+port)
		s.State, s.Timer, s.Expires = session.V6Init, session.TimerTransitory, 4*time.Minute-idle
		return s
	}
	const udpOfJ, udpOfK = 3003, 3004 // the host whose mask is lower
	top.j.addSessions(t, "nat", established(3001), opening(3002), between(session.UDP, udpOfJ, 64001), between(session.UDP, udpOfK, 64004))
	top.k.addSessions(t, "nat", opening(3001), established(3002), between(session.UDP, udpOfJ, 64002), between(session.UDP, udpOfK, 64003))
	pairJ, pairK := top.pairs(group6)
	startWorker(t, supervised, top.j, pairJ)
	startWorker(t, supervised, top.k, pairK)

	for _, n := range []*namespace{top.j, top.k} {
		eventually(t, syncedWithin, n.name+" has the sessions that win", func() string {
			found := make(map[uint16]string)
			for _, s := range n.sessions(t, "nat") {
				found[s.Src6.Port()] = fmt.Sprintf("%v mask %d", s.State, s.Src4.Port())
			}
			want := map[uint16]string{
				3001: "ESTABLISHED mask 63001", 3002: "ESTABLISHED mask 63002",
				udpOfJ: "ESTABLISHED mask 64001", udpOfK: "ESTABLISHED mask 64003",
			}
			if fmt.Sprint(found) != fmt.Sprint(want) {
				return fmt.Sprintf("%v, want %v", found, want)
			}
			return ""
		})
		for _, port := range []uint16{3001, 3002} {
			if s := n.session(t, "nat", session.TCP, port); s.Expires < time.Hour {
				t.Errorf("%s: the session from port %d has %v left", n.name, port, s.Expires)
			}
		}
	}
}
