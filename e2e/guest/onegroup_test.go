package guest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"joolctl/internal/await"
	"joolctl/session"
	"joolctl/syncwire"
)

// TestOneGroup has two joolctls, J and L, and a C joold, K, on one group for more than a minute of traffic. L loses one
// datagram in ten, is cut off for some time and starts again with an empty table, so that every type of message is
// sent. Then a forger sends such messages. They must not change K's kernel, and all three must have J's sessions.
func TestOneGroup(t *testing.T) {
	enter(t, "standby")
	g := startOneGroup(t)
	g.loseToL(t, 10)
	g.traffic(t, 5)
	g.mixedTraffic(t)

	g.loseToL(t, 100) // the sessions that L then requests have been sent again since
	g.traffic(t, 5)
	g.loseToL(t, 10)
	g.traffic(t, 5)
	g.allHaveJsSessions(t)

	g.restartL(t)
	if out, code := g.onJ.command(t, "advertise", "--all"); code != exitOK {
		t.Fatal(out)
	}
	g.traffic(t, 15)
	g.mixedTraffic(t)
	g.allHaveJsSessions(t)

	g.flood(t, g.listener.all(t))
	for _, w := range []worker{g.onK, g.onJ, g.onL} {
		w.running(t)
	}
	g.mixedTraffic(t)
	g.allHaveJsSessions(t)
	g.checkJoolctl(t, g.onJ)
	g.checkJoolctl(t, g.onL)
	// C joold says so if the kernel refuses a session.
	if log := strings.ToLower(g.onK.log.String()); strings.Contains(log, "err") || strings.Contains(log, "invalid") {
		t.Errorf("C joold says: %s", log)
	}
}

// oneGroup is a group of joolctls on J and L and a C joold on K, with a listener and a forger on the same link.
type oneGroup struct {
	*topology
	sw, l, forger *namespace
	onJ, onK, onL worker
	listener      *listener
	sources       int // of the traffic, so far
}

// startOneGroup starts the listener, then the hosts, and waits until L is complete.
func startOneGroup(t *testing.T) *oneGroup {
	t.Helper()
	g := &oneGroup{topology: newTopology(t)}
	g.serveEcho(t)
	sw, made := g.onSwitch(t, "L", "forger")
	g.sw, g.l, g.forger = sw, made[0], made[1]
	g.listener = g.forger.hear(t)
	pair, _ := g.pairs(group6)
	g.onK = startWorker(t, upstream, g.k, pair)
	g.onJ = startWorker(t, supervised, g.j, pair)
	pair.name = g.l.name
	g.onL = startWorker(t, supervised, g.l, pair)
	g.onL.awaitSynced(t, "yes")
	return g
}

// loseToL sets the percentage of datagrams to L that the switch loses.
func (g *oneGroup) loseToL(t *testing.T, percent int) {
	t.Helper()
	g.sw.exec(t, "tc", "qdisc", "replace", "dev", "port2", "root", "netem", "loss", fmt.Sprintf("%d%%", percent))
}

// restartL starts L's worker and its instance again.
func (g *oneGroup) restartL(t *testing.T) {
	t.Helper()
	g.onL.stop(t)
	g.l.replaceInstance(t)
	g.onL = startWorker(t, supervised, g.l, g.onL.pair)
	g.onL.awaitSynced(t, "yes")
}

// traffic opens sessions each second, and uses those of the two seconds before.
func (g *oneGroup) traffic(t *testing.T, seconds int) {
	t.Helper()
	g.trafficWhile(t, seconds, func() {})
}

// trafficWhile is traffic that calls meanwhile once a second.
func (g *oneGroup) trafficWhile(t *testing.T, seconds int, meanwhile func()) {
	t.Helper()
	const (
		ports = 20
		first = 30000
		alive = 2 // sources that are still in use when the next one comes
	)
	eachSecond(seconds, func() {
		in := max(0, g.sources-alive)
		g.sendUDP(t, portRange(uint16(first+in), g.sources-in), ports, often())
		source := portRange(uint16(first+g.sources), 1)
		g.sources++
		g.keep(map[session.Proto]int{session.UDP: ports}, func() { g.sendUDP(t, source, ports, often()) })
		meanwhile()
	})
}

// allHaveJsSessions waits until K and L have the sessions of J.
func (g *oneGroup) allHaveJsSessions(t *testing.T) {
	t.Helper()
	for _, standby := range []*namespace{g.k, g.l} {
		with := *g.topology
		with.k = standby
		with.awaitSynced(t)
	}
}

// flood sends forged datagrams under traffic, to the known senders and to others, and all inputs that fuzzing has kept.
func (g *oneGroup) flood(t *testing.T, known []syncwire.ID) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	c := g.forger.openGroup(t, group6)
	send := func(b []byte) {
		t.Helper()
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	kept := keptControls(t)
	const (
		seconds, datagrams = 30, 10_000
		burst              = 100 // datagrams that the hosts' buffers hold
	)
	g.trafficWhile(t, seconds, func() {
		for i := range datagrams / seconds {
			if i%4 == 0 {
				send(mutated(r, kept[r.IntN(len(kept))]))
			} else {
				send(forged(r, known))
			}
			if i%burst == 0 {
				g.awaitRead(t)
			}
		}
	})
	for _, b := range kept {
		send(b)
	}
}

// awaitRead waits until no datagram waits in a socket of J, K or L.
func (g *oneGroup) awaitRead(t *testing.T) {
	t.Helper()
	await.Right(t, syncedWithin, "the hosts read the forged datagrams", func() string {
		for _, n := range []*namespace{g.j, g.k, g.l} {
			if queued := queuedOnPort(n.proc(t, "udp6"), groupPort); queued > 0 {
				return fmt.Sprintf("%d bytes wait at %s", queued, n.name)
			}
		}
		return ""
	})
}

// checkJoolctl checks that a joolctl has counted the forged datagrams, without a restart and without an error of the kernel.
func (g *oneGroup) checkJoolctl(t *testing.T, w worker) {
	t.Helper()
	s, code := statusOf(t, w.socket)
	row := s.Workers[0]
	if code != exitOK || row.Restarts != 0 || row.Losses["kernel_errors"] != 0 || row.Losses["malformed_datagrams"] == 0 || row.Losses["not_understood_datagrams"] == 0 {
		t.Errorf("%s: exit status %d, %+v", w.namespace.name, code, row)
	}
}

// all stops listening and returns the senders that were heard. It fails unless every type of message was heard.
func (e *listener) all(t *testing.T) (ids []syncwire.ID) {
	t.Helper()
	e.stop()
	t.Logf("heard %v, datagrams %v, of %v", e.messages, e.datagrams, e.senders)
	for typ := syncwire.TypeHello; typ <= syncwire.TypeGone; typ++ {
		if e.messages[typ] == 0 {
			t.Errorf("no host sent a %v", typ)
		}
	}
	for kind := syncwire.Live; kind <= syncwire.Advertised; kind++ {
		if e.datagrams[kind] == 0 {
			t.Errorf("no sessions came in a datagram of kind %d", kind)
		}
	}
	for id := range e.senders {
		ids = append(ids, id)
	}
	return ids
}
