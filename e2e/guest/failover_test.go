package guest

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"joolctl/session"
)

// TestFailover has TCP connections, one of them silent for 20 minutes, survive
// the death of the NAT64 that opened them.
func TestFailover(t *testing.T) {
	enter(t, "test")
	t.Parallel()
	for _, kind := range []daemon{oneJoold, supervised} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			testFailover(t, kind)
		})
	}
}

func testFailover(t *testing.T, kind daemon) {
	top := newTopology(t)
	top.serveEcho(t)
	pairJ, pairK := top.pairs(group6)
	workerK := startWorker(t, kind, top.k, pairK)
	workerJ := startWorker(t, kind, top.j, pairJ)

	const oldPort = 31000
	old, young := top.connect(t, oldPort), top.connect(t, oldPort+1)
	talk := func(text string) {
		old.mustEcho(t, text)
		young.mustEcho(t, text)
	}
	top.keep(map[session.Proto]int{session.TCP: 2}, func() { talk("through J") })
	top.awaitSynced(t)

	const silent = 20 * time.Minute
	fresh := top.grownOld(t, oldPort, oldPort+1, silent)

	workerJ.kill()
	top.failOver(t)
	talk("through K")
	if left := top.k.session(t, "nat", session.TCP, oldPort).Expires; left < fresh.Expires-expiresTolerance {
		t.Errorf("after its first packet through K the old session has %v left, want about %v", left, fresh.Expires)
	}
	talk("and again")
	workerK.stop(t)
}

// grownOld makes both NAT64s believe that a TCP session has been silent for that time, and returns K's session of
// another port for comparison. Reports that were in flight at that moment may still renew the session, within the
// module's deadline and the refresh period, so the session has to stay old for longer than that.
func (top *topology) grownOld(t testing.TB, port, other uint16, silent time.Duration) session.Session {
	t.Helper()
	const quiet = 5 * time.Second
	var fresh session.Session
	var oldSince time.Time
	eventually(t, time.Minute, "the session is old", func() string {
		fresh = top.k.session(t, "nat", session.TCP, other)
		aged := top.k.session(t, "nat", session.TCP, port)
		if age := fresh.Expires - aged.Expires; (age - silent).Abs() > expiresTolerance {
			oldSince = time.Now()
			s := fresh
			s.Src6, s.Dst6, s.Src4, s.Dst4, s.Expires = aged.Src6, aged.Dst6, aged.Src4, aged.Dst4, fresh.Expires-silent
			for _, n := range []*namespace{top.j, top.k} {
				n.addSessions(t, "nat", s)
			}
			return fmt.Sprintf("K takes it for %v old, want %v", age, silent)
		}
		if stable := time.Since(oldSince); stable < quiet {
			return fmt.Sprintf("it has been old for %v only", stable)
		}
		return ""
	})
	return fresh
}

// session returns the only session of a port of n6.
func (n *namespace) session(t testing.TB, instance string, proto session.Proto, port uint16) session.Session {
	t.Helper()
	from := netip.AddrPortFrom(netip.MustParseAddr(addr6), port)
	for _, s := range n.sessions(t, instance) {
		if s.Proto == proto && s.Src6 == from {
			return s
		}
	}
	t.Fatalf("%s has no %v session from %v", n.name, proto, from)
	return session.Session{}
}
