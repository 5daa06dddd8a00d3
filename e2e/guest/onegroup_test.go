package guest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"joolctl/session"
	"joolctl/syncwire"
)

// TestOneGroup has two joolctls, J and L, and a C joold, K, on one group for more than a minute of traffic. L loses one
// datagram in ten, is cut off for some time and starts again with an empty table, so that every type of message is
// sent. Then a forger sends such messages. They must not change K's kernel, and all three must have J's sessions.
func TestOneGroup(t *testing.T) {
	enter(t, "standby")
	top := newTopology(t)
	top.serveEcho(t)
	sw, made := top.onSwitch(t, "L", "forger")
	l, forger := made[0], made[1]
	listener := forger.hear(t)
	pair, _ := top.pairs(group6)
	cWorker := startWorker(t, upstream, top.k, pair)
	jWorker := startWorker(t, supervised, top.j, pair)
	pair.name = l.name
	lWorker := startWorker(t, supervised, l, pair)
	lWorker.awaitSynced(t, "yes")
	loseToL := func(percent int) {
		sw.exec(t, "tc", "qdisc", "replace", "dev", "port2", "root", "netem", "loss", fmt.Sprintf("%d%%", percent))
	}
	loseToL(10)

	second := time.NewTicker(time.Second)
	defer second.Stop()
	const (
		ports = 20
		first = 30000
		alive = 2 // sources that are still in use when the next one comes
	)
	next := 0
	// traffic opens sessions each second, and uses those of the seconds before.
	traffic := func(seconds int, meanwhile func()) {
		t.Helper()
		for range seconds {
			in := max(0, next-alive)
			top.sendUDP(t, portRange(uint16(first+in), next-in), ports, often())
			source := portRange(uint16(first+next), 1)
			next++
			top.keep(map[session.Proto]int{session.UDP: ports}, func() { top.sendUDP(t, source, ports, often()) })
			meanwhile()
			<-second.C
		}
	}
	quietly := func() {}
	allHave := func() {
		t.Helper()
		for _, standby := range []*namespace{top.k, l} {
			with := *top
			with.k = standby
			with.awaitSynced(t)
		}
	}

	traffic(5, quietly)
	top.mixedTraffic(t)
	loseToL(100) // the sessions that L then requests have been sent again since
	traffic(5, quietly)
	loseToL(10)
	traffic(5, quietly)
	allHave()

	lWorker.stop(t)
	l.exec(t, "jool", "instance", "remove", "nat")
	addInstance(t, l, instance{name: "nat", framework: "netfilter", pool6: pool6})
	lWorker = startWorker(t, supervised, l, pair)
	lWorker.awaitSynced(t, "yes")
	if out, code := jWorker.command(t, "advertise", "--all"); code != exitOK {
		t.Fatal(out)
	}
	traffic(15, quietly)
	top.mixedTraffic(t)
	allHave()
	ids := listener.all(t)

	r := rand.New(rand.NewPCG(1, 2))
	c := forger.openGroup(t, group6)
	send := func(b []byte) {
		t.Helper()
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	kept := keptControls(t)
	const seconds, datagrams = 30, 10_000
	traffic(seconds, func() {
		for i := range datagrams / seconds {
			if i%4 == 0 {
				send(mutated(r, kept[r.IntN(len(kept))]))
			} else {
				send(forged(r, ids))
			}
			if i%100 == 0 {
				time.Sleep(time.Millisecond) // a flood, but one that the others' buffers hold
			}
		}
	})
	for _, b := range kept {
		send(b)
	}
	for _, w := range []worker{cWorker, jWorker, lWorker} {
		w.running(t)
	}
	top.mixedTraffic(t)
	allHave()
	for _, w := range []worker{jWorker, lWorker} {
		s, code := statusOf(t, w.socket)
		row := s.Workers[0]
		if code != exitOK || row.Restarts != 0 || row.Losses["kernel_errors"] != 0 || row.Losses["malformed_datagrams"] == 0 || row.Losses["not_understood_datagrams"] == 0 {
			t.Errorf("%s: exit status %d, %+v", w.namespace.name, code, row)
		}
	}
	// It says so if the kernel refuses what it gave.
	if log := strings.ToLower(cWorker.log.String()); strings.Contains(log, "err") || strings.Contains(log, "invalid") {
		t.Errorf("C joold says: %s", log)
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
