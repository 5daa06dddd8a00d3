package guest

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"joolctl/joolnl"
	"joolctl/syncwire"
)

// TestOneGroup has two of ours, J and L, and a C joold, K, on one group. L loses
// one datagram in ten, and starts again with an empty table; then somebody
// forges whatever control message there is. K's kernel must not notice, and all
// three must have J's sessions.
func TestOneGroup(t *testing.T) {
	enter(t, "test")
	t.Parallel()
	top := newTopology(t)
	sw, made := top.onSwitch(t, "L", "forger")
	l, forger := made[0], made[1]
	pair, _ := top.pairs(group6)
	cWorker := startWorker(t, upstream, top.k, pair)
	jWorker := startWorker(t, supervised, top.j, pair)
	pair.name = l.name
	lWorker := startWorker(t, supervised, l, pair)
	lWorker.awaitSynced(t, "yes")
	sw.exec(t, "tc", "qdisc", "replace", "dev", "port2", "root", "netem", "loss", "10%")

	const sources, ports = 20, 25
	traffic := func(first uint16) {
		top.sendUDP(t, portRange(first, sources), ports, pace{time.NewTicker(4 * time.Millisecond)})
	}
	allHave := func(want int) {
		t.Helper()
		for _, standby := range []*namespace{top.k, l} {
			with := *top
			with.k = standby
			with.awaitSame(t, "nat", map[joolnl.Proto]int{joolnl.UDP: want}, func(s []joolnl.Session) { top.resendUDP(t, s) })
		}
	}
	traffic(10000)
	allHave(sources * ports)

	lWorker.stop(t)
	l.exec(t, "jool", "instance", "remove", "nat")
	addInstance(t, l, instance{name: "nat", framework: "netfilter", pool6: pool6})
	lWorker = startWorker(t, supervised, l, pair)
	traffic(11000)
	allHave(2 * sources * ports)

	const datagrams = 20_000
	r := rand.New(rand.NewPCG(1, 2))
	c := forger.openGroup(t, group6)
	for i := range datagrams {
		if _, err := c.Write(forged(r, syncwire.ID(1+r.Uint32N(100)))); err != nil {
			t.Fatal(err)
		}
		if i%100 == 0 {
			time.Sleep(time.Millisecond) // a flood, but one that the others' buffers hold
		}
	}
	for _, w := range []worker{cWorker, jWorker, lWorker} {
		w.running(t)
	}
	traffic(12000)
	allHave(3 * sources * ports)
	for _, w := range []worker{jWorker, lWorker} {
		s, code := statusOf(t, w.socket)
		if row := s.Workers[0]; code != exitOK || row.Restarts != 0 || row.Losses["kernel_errors"] != 0 {
			t.Errorf("%s: exit status %d, %+v", w.namespace.name, code, row)
		}
	}
	// It says so if the kernel refuses what it gave.
	if log := strings.ToLower(cWorker.log.String()); strings.Contains(log, "err") || strings.Contains(log, "invalid") {
		t.Errorf("C joold says: %s", log)
	}
}
