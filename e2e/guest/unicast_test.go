package guest

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"joolctl/session"
)

// The router's links to J and K, and the addresses of both there. The router's own addresses end in 1.
const (
	routedLink = "routed"
	routedJ4   = "10.64.4.2"
	routedK4   = "10.64.5.2"
	routedJ6   = "2001:db8:64:4::2"
	routedK6   = "2001:db8:64:5::2"
)

// route connects J and K by a router, which it returns.
func (top *topology) route(t testing.TB) *namespace {
	t.Helper()
	router := newNamespaces(t, strings.Replace(top.j.name, "J", "router", 1))[0]
	router.sysctl(t, [2]string{"ipv4/conf/all/forwarding", "1"}, [2]string{"ipv6/conf/all/forwarding", "1"})
	for _, end := range []struct {
		n           *namespace
		port        string
		four, six   string
		four2, six2 string // networks behind the router
	}{
		{top.j, "j", "10.64.4", "2001:db8:64:4", "10.64.5", "2001:db8:64:5"},
		{top.k, "k", "10.64.5", "2001:db8:64:5", "10.64.4", "2001:db8:64:4"},
	} {
		ip(t, fmt.Sprintf("link add %s netns %s type veth peer name %s netns %s\n", routedLink, end.n.name, end.port, router.name))
		router.ip(t, fmt.Sprintf("address add %s.1/24 dev %[2]s\naddress add %[3]s::1/64 dev %[2]s nodad\nlink set %[2]s up\n", end.four, end.port, end.six))
		end.n.ip(t, fmt.Sprintf("address add %s.2/24 dev %[2]s\naddress add %[3]s::2/64 dev %[2]s nodad\nlink set %[2]s up\nroute add %[4]s.0/24 via %[1]s.1\nroute add %[5]s::/64 via %[3]s::1\n",
			end.four, routedLink, end.six, end.four2, end.six2))
	}
	return router
}

// keepConnections opens n connections through J. Their traffic can be repeated, for modules that lose sessions.
func (top *topology) keepConnections(t testing.TB, first uint16, n int) {
	t.Helper()
	var open []connection
	for _, port := range portRange(first, n) {
		open = append(open, top.connect(t, port))
	}
	top.keep(map[session.Proto]int{session.TCP: n}, func() {
		for _, c := range open {
			c.mustEcho(t, "hello")
		}
	})
}

// TestUnicast has two NAT64s exchange sealed datagrams by unicast, across a router: the table at the start, live
// sessions, and the state of each other in status. A third host that is not listed changes only a counter.
func TestUnicast(t *testing.T) {
	enter(t, "test")
	for _, c := range []struct{ name, j, k, source string }{
		{"IPv6", routedJ6, routedK6, "2001:db8:64:5::1"},
		{"IPv4", routedJ4, routedK4, "10.64.5.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			top := newTopology(t)
			router := top.route(t)
			top.serveEcho(t)
			keys := genkey(t, "1")
			pairJ := pair{name: top.j.name, instance: "nat", port: groupPort, link: routedLink, peers: []string{c.k}}
			pairK := pair{name: top.k.name, instance: "nat", port: groupPort, link: c.k, peers: []string{c.j}}

			j := startSealed(t, pairJ.in(top.j), keys)
			j.awaitRunning(t, 1, listensWithin)
			if out, _ := j.command(t, "status", "-o", "wide"); !strings.Contains(out, "is configured, and has not been heard") {
				t.Errorf("J does not say that K has not been heard: %s", out)
			}

			top.keepConnections(t, 40000, 20)
			k := startSealed(t, pairK.in(top.k), keys)
			k.awaitRunning(t, 1, listensWithin)
			top.awaitSynced(t)
			if out, _ := k.command(t, "status", "-o", "json"); !strings.Contains(out, `"stored": `) || strings.Contains(out, `"stored": 0,`) {
				t.Errorf("K has stored no full sync: %s", out)
			}

			top.keepConnections(t, 41000, 10)
			top.awaitSynced(t)
			j.checkUnicastPeer(t, c.k)
			k.checkUnicastPeer(t, c.j)

			const forged = 20
			router.forge(t, c.k, forged)
			k.awaitUnlisted(t, c.source, forged)
		})
	}
}

// checkUnicastPeer checks that the only pair of a supervisor is ready, that it has no group, but one configured peer, which
// it hears, and that all datagrams came from that peer.
func (s supervisor) checkUnicastPeer(t testing.TB, peer string) {
	t.Helper()
	if out, code := s.command(t, "ready", "--all", "--wait", "30s"); code != exitOK {
		t.Errorf("not ready: %s", out)
	}
	out, _ := s.command(t, "status", "-o", "json")
	for _, want := range []string{
		`"group": ""`,
		fmt.Sprintf("\"address\": %q,\n          \"heard\": true", netip.AddrPortFrom(netip.MustParseAddr(peer), groupPort)),
		fmt.Sprintf(`"address": %q`, peer),
		`"unlisted_datagrams": 0`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the status lacks %s: %s", want, out)
		}
	}
}

// forge sends datagrams of an unlisted host to a worker's address.
func (n *namespace) forge(t testing.TB, to string, datagrams int) {
	t.Helper()
	n.do(t, func() error {
		conn, err := net.Dial("udp", netip.AddrPortFrom(netip.MustParseAddr(to), groupPort).String())
		if err != nil {
			return err
		}
		defer conn.Close()
		for range datagrams {
			if _, err := conn.Write([]byte("forged")); err != nil {
				return err
			}
		}
		return nil
	})
}

// awaitUnlisted waits until the only pair of a supervisor has counted the datagrams of an unlisted host, and names its
// address.
func (s supervisor) awaitUnlisted(t testing.TB, source string, datagrams int) {
	t.Helper()
	counted := fmt.Sprintf(`"unlisted_datagrams": %d`, datagrams)
	named := fmt.Sprintf("\"unlisted_sender\": {\n        \"address\": %q", source)
	eventually(t, syncedWithin, "the datagrams of the unlisted host are counted", func() string {
		if out, _ := s.command(t, "status", "-o", "json"); !strings.Contains(out, counted) || !strings.Contains(out, named) {
			return "the status is: " + out
		}
		return ""
	})
}

// TestUnicastJoold has two joolds exchange clear datagrams by unicast, across a router.
func TestUnicastJoold(t *testing.T) {
	enter(t, "test")
	t.Parallel()
	top := newTopology(t)
	top.route(t)
	top.serveEcho(t)
	run := func(n *namespace, peer string) worker {
		p := pair{name: n.name, instance: "nat", port: groupPort, link: routedLink, peers: []string{peer}}
		netsocket, modsocket := p.write(t, t.TempDir())
		return worker{process: start(t, n, joold, netsocket, modsocket), kind: oneJoold, namespace: n, pair: p}
	}
	j := run(top.j, routedK6)
	k := run(top.k, routedJ6)
	k.awaitComplete(t)
	j.awaitComplete(t)
	top.mixedTraffic(t)
	top.awaitSynced(t)
	j.stop(t)
	k.stop(t)
	if !strings.Contains(j.log.String(), "without a key, any host that can send from such an address can insert sessions") {
		t.Errorf("no warning: %s", j.log.String())
	}
}
