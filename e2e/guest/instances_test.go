package guest

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"joolctl/joolnl"
	"joolctl/session"
)

// TestTwoInstances has two instances in each NAT64's namespace, which share only the link. Neither may get the other's
// sessions.
func TestTwoInstances(t *testing.T) {
	enter(t, "test")
	t.Parallel()
	for _, kind := range []daemon{oneJoold, supervised} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			testTwoInstances(t, kind)
		})
	}
}

func testTwoInstances(t *testing.T, kind daemon) {
	top := newTopology(t)
	top.serveEcho(t)
	for _, n := range []*namespace{top.j, top.k} {
		addInstance(t, n, instance{name: "ipt", framework: "iptables", pool6: iptPool6})
	}
	natJ, natK := top.pairs(group6)
	iptJ, iptK := natJ, natK
	for _, p := range []*pair{&iptJ, &iptK} {
		p.name, p.instance, p.port = p.name+"-ipt", "ipt", groupPort+1
	}
	advertise := top.runAll(t, kind, []pair{natJ, iptJ}, []pair{natK, iptK})

	top.mixedTraffic(t)
	top.j.addSessions(t, "ipt", madeUp(iptPool6, iptSessions, nil)...)
	top.awaitSynced(t)
	if !module(t).HasAdvertise() { // only an advertise sends an added session
		if got := top.k.sessions(t, "ipt"); len(got) > 0 {
			t.Errorf("K's ipt has sessions that nobody sent: %v", got)
		}
		return
	}
	advertise(iptJ)
	top.awaitSame(t, "ipt", map[session.Proto]int{session.UDP: iptSessions}, nil)
	top.awaitSynced(t)
}

const (
	iptPool6    = "64:ff9b:1::/96"
	iptSessions = 50
)

// runAll runs daemons for several pairs in J and in K, and returns what makes J's
// advertise one of its own.
func (top *topology) runAll(t *testing.T, kind daemon, inJ, inK []pair) (advertise func(pair)) {
	t.Helper()
	if kind == supervised {
		var all []pair
		for i := range inJ {
			all = append(all, inJ[i].in(top.j), inK[i].in(top.k))
		}
		s := startSupervisor(t, all...)
		s.awaitRunning(t, len(all), listensWithin)
		return func(p pair) {
			if out, code := s.command(t, "advertise", p.name); code != exitOK {
				t.Fatalf("joolctl advertise %s ended with %d:\n%s", p.name, code, out)
			}
		}
	}
	for i := range inJ {
		startWorker(t, kind, top.k, inK[i])
		startWorker(t, kind, top.j, inJ[i])
	}
	return func(p pair) {
		top.j.onInstance(t, p.instance, func(c *joolnl.Conn) error { return c.AskAdvertise() })
	}
}

// madeUp returns n UDP sessions that no packet has opened. Their addresses on pool4 differ from those of all others,
// because the module would ignore them otherwise.
func madeUp(pool6 string, n int, others []session.Session) []session.Session {
	dst4 := netip.MustParseAddr(addr4)
	dst6, err := session.Embed(netip.MustParsePrefix(pool6), dst4)
	if err != nil {
		panic(err) // the prefixes are constants
	}
	taken := make(map[netip.AddrPort]bool)
	for _, s := range others {
		taken[s.Src4] = true
	}
	var sessions []session.Session
	for port := uint16(62000); len(sessions) < n; port++ {
		src4 := netip.AddrPortFrom(netip.MustParseAddr(pool4), port)
		if taken[src4] {
			continue
		}
		const target = 9000
		sessions = append(sessions, session.Session{
			Proto: session.UDP, State: session.Established, Timer: session.TimerEstablished,
			Src6:    netip.AddrPortFrom(netip.MustParseAddr("2001:db8::99"), port),
			Dst6:    netip.AddrPortFrom(dst6, target),
			Src4:    src4,
			Dst4:    netip.AddrPortFrom(dst4, target),
			Expires: 200 * time.Second,
		})
	}
	return sessions
}

// TestNamespaces has one supervisor serve instances of the same name in six
// namespaces, joined two by two: no session strays into another.
func TestNamespaces(t *testing.T) {
	enter(t, "test")
	t.Parallel()
	const sites = 3
	var tops [sites]*topology
	var pairs []pair
	for i := range tops {
		tops[i] = newTopology(t)
		tops[i].serveEcho(t)
		j, k := tops[i].pairs(group6)
		pairs = append(pairs, j.in(tops[i].j), k.in(tops[i].k))
	}
	s := startSupervisor(t, pairs...)
	s.awaitRunning(t, 2*sites, listensWithin)

	for i, top := range tops { // each site has a session more than the one before
		top.mixedTraffic(t)
		extra := portRange(50000, i)
		top.keep(map[session.Proto]int{session.UDP: i}, func() { top.sendUDP(t, extra, 1, slowly()) })
	}
	for _, top := range tops {
		top.awaitSynced(t)
	}
	if countsJoold(module(t)) {
		eventually(t, syncedWithin, "each worker's kernel has counted what it gave it", func() string {
			for _, w := range s.status(t).Workers {
				if given, taken := w.Stats["KERNEL_SENT_PKTS"], w.Kernel["JSTAT_JOOLD_PKT_RCVD"]; given != taken {
					return fmt.Sprintf("%s gave %d messages, its kernel took %d", w.Name, given, taken)
				}
			}
			return ""
		})
	}
	s.stop(t)
}

// TestFortyPairs has one supervisor run forty workers in forty namespaces.
func TestFortyPairs(t *testing.T) {
	enter(t, "test")
	t.Parallel()
	const sites = 20
	var names []string
	for i := range 2 * sites {
		names = append(names, fmt.Sprintf("forty%d", i))
	}
	made := newNamespaces(t, names...)
	links := ""
	var pairs []pair
	for i, n := range made {
		if i%2 == 0 {
			links += fmt.Sprintf("link add %[1]s netns %[2]s type veth peer name %[1]s netns %[3]s\n", syncLink, n.name, names[i+1])
		}
		addInstance(t, n, natInstance)
		pairs = append(pairs, pair{
			name: n.name, namespace: n.name, instance: "nat", group: group6, port: groupPort, link: syncLink, statsPort: newStatsPort(),
		})
	}
	ip(t, links)
	s := startSupervisor(t, pairs...)
	s.awaitRunning(t, len(pairs), time.Minute)
	for _, w := range s.status(t).Workers {
		if w.Restarts != 0 {
			t.Errorf("%s was restarted %d times", w.Name, w.Restarts)
		}
	}
	s.stop(t)
}
