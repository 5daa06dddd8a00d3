package guest

import (
	"net/netip"
	"testing"
	"time"

	"joolctl/joolnl"
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
	top.keep(map[joolnl.Proto]int{joolnl.TCP: 2}, func() { talk("through J") })
	top.awaitSynced(t)

	const silent = 20 * time.Minute
	s := top.j.session(t, "nat", joolnl.TCP, oldPort)
	s.Expires -= silent
	for _, n := range []*namespace{top.j, top.k} { // what 20 minutes would have done to both
		n.addSessions(t, "nat", s)
	}
	fresh := top.k.session(t, "nat", joolnl.TCP, oldPort+1)
	aged := top.k.session(t, "nat", joolnl.TCP, oldPort)
	if age := fresh.Expires - aged.Expires; (age - silent).Abs() > expiresTolerance {
		t.Fatalf("K takes the connection for %v old, want %v", age, silent)
	}

	workerJ.kill()
	top.failOver(t)
	talk("through K")
	if left := top.k.session(t, "nat", joolnl.TCP, oldPort).Expires; left < fresh.Expires-expiresTolerance {
		t.Errorf("after its first packet through K the old session has %v left, want about %v", left, fresh.Expires)
	}
	talk("and again")
	workerK.stop(t)
}

// session is the one session of a port of n6's.
func (n *namespace) session(t testing.TB, instance string, proto joolnl.Proto, port uint16) joolnl.Session {
	t.Helper()
	from := netip.AddrPortFrom(netip.MustParseAddr(addr6), port)
	for _, s := range n.sessions(t, instance) {
		if s.Proto == proto && s.Src6 == from {
			return s
		}
	}
	t.Fatalf("%s has no %v session from %v", n.name, proto, from)
	return joolnl.Session{}
}
