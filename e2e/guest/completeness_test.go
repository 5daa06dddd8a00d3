package guest

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/session"
)

// TestCompleteness measures how long hosts say that they are complete while their modules lack sessions. The machine's clock
// counts instructions.
func TestCompleteness(t *testing.T) {
	enter(t, "completeness")
	t.Run("merge of idle pairs", func(t *testing.T) { testMerge(t, false) })
	t.Run("merge of busy pairs", func(t *testing.T) { testMerge(t, true) })
	t.Run("drops", testDrops)
	t.Run("state", testState)
	t.Run("state, one way", testStateOneWay)
	for range 6 { // in most rounds no worker is left out, because each worker picks its ID and its pauses at random
		t.Run("start together", testStartTogether)
	}
	t.Run("group change", testGroupChange)
}

// ownSessions is how many sessions each pair or host has that the others lack.
const ownSessions = 500

// completeWithin bounds the wait for complete tables. An idle host may hear nothing of the others for 10 s of it.
const completeWithin = 20 * time.Second

// ownSource is the port of n6's from which the own sessions of a place come.
func ownSource(place int) uint16 { return madeUpUDP(place*1000, 0).Src6.Port() }

// give gives an instance the own sessions of a place. Each place has its own port of n6's and its own mask.
func (n *namespace) give(t testing.TB, place int) {
	t.Helper()
	sessions := make([]session.Session, ownSessions)
	for i := range sessions {
		sessions[i] = madeUpUDP(place*1000+i, 290*time.Second)
	}
	n.addSessions(t, "nat", sessions...)
}

// placedOn has a pair of a group for each host's instance "nat".
func placedOn(group string, hosts ...*namespace) (pairs []placed) {
	for _, n := range hosts {
		p := pair{name: n.name, instance: "nat", group: group, port: groupPort, link: syncLink, tuneSS: true}
		pairs = append(pairs, placed{p, n})
	}
	return pairs
}

// trunk joins two switches, and loses everything until it is connected.
func trunk(t testing.TB, left, right *namespace) (connect func()) {
	t.Helper()
	const port = "trunk"
	ip(t, fmt.Sprintf("link add %[1]s netns %[2]s type veth peer name %[1]s netns %[3]s", port, left.name, right.name))
	for _, sw := range []*namespace{left, right} {
		sw.exec(t, "tc", "qdisc", "add", "dev", port, "root", "netem", "loss", "100%")
		sw.ip(t, "link set "+port+" master sync up")
	}
	left.awaitCarrier(t, port)
	right.awaitCarrier(t, port)
	return func() {
		for _, sw := range []*namespace{left, right} {
			sw.exec(t, "tc", "qdisc", "del", "dev", port, "root")
		}
	}
}

// trickle opens UDP sessions through J from one port of n6's, so many at once. The test or the caller ends it.
func (top *topology) trickle(t testing.TB, source uint16, every time.Duration, atOnce int) *opener {
	t.Helper()
	c := top.sources(t, []uint16{source})[0]
	o := &opener{quit: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(o.ended)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-o.quit:
				return
			case <-tick.C:
			}
			for range atOnce {
				if _, o.err = c.WriteToUDPAddrPort([]byte("x"), dst6(uint16(firstPort+o.sent))); o.err != nil {
					return
				}
				o.sent++
			}
		}
	}()
	t.Cleanup(func() { o.stop() })
	return o
}

// mustStop ends a trickle and returns how many sessions it has opened.
func (o *opener) mustStop(t testing.TB) int {
	t.Helper()
	sent, err := o.stop()
	if err != nil {
		t.Fatal(err)
	}
	return sent
}

// testMerge has two pairs of hosts, each with sessions of its own, come on one link.
func testMerge(t *testing.T, busy bool) {
	left, right := newTopology(t), newTopology(t)
	connect := trunk(t, newSwitch(t, 0, left.j, left.k), newSwitch(t, 2, right.j, right.k))
	left.j.give(t, 0)
	right.j.give(t, 1)
	w := observe(t, "apart", placedOn(group6, left.j, left.k), placedOn(group6, right.j, right.k))
	joined := func() { w.place(0, w.hosts...) }
	w.awaitComplete(completeWithin, ownSessions)

	if !busy {
		w.awaitIdle()
		connect()
		w.enter("merged", idleWrongYesAtMost, joined)
		w.awaitComplete(completeWithin, 2*ownSessions)
		return
	}
	const every, some = 50 * time.Millisecond, 20
	openers := []*opener{left.trickle(t, ownSource(0), every, 1), right.trickle(t, ownSource(1), every, 1)}
	w.await(completeWithin, "sessions flow", func(h *watched) string {
		if n := len(h.table); n < ownSessions+some || h.lacks.any() {
			return fmt.Sprintf("%d sessions, %v", n, h.lacks)
		}
		return ""
	})
	connect()
	w.enter("merged", wrongYesAtMost, joined)
	w.await(completeWithin, "each host has the sessions of both pairs and says yes", func(h *watched) string {
		if n := len(h.table); n < 2*ownSessions || h.lacks.any() || h.state.synced != "yes" {
			return h.String()
		}
		return ""
	})
	want := 2 * ownSessions
	for _, o := range openers {
		want += o.mustStop(t)
	}
	w.awaitComplete(completeWithin, want)
}

// testDrops has the active side's module drop sessions all the time.
func testDrops(t *testing.T) {
	if !module(t).ChecksCapacity() {
		t.Skip("the module has no bound for the sessions that wait")
	}
	const (
		capacity = "8"
		atOnce   = 20 // more than the module's queue holds
		every    = 100 * time.Millisecond
		lasts    = 15 * time.Second
		within   = 10 * time.Second // after the traffic
	)
	top := newTopology(t)
	top.j.exec(t, tool(t), "-i", "nat", "global", "update", "ss-capacity", capacity)
	w := observe(t, "drops", placedOn(group6, top.j, top.k))
	w.awaitComplete(completeWithin, 0)
	o := top.trickle(t, ownSource(0), every, atOnce)
	<-time.After(lasts)
	sent := o.mustStop(t)
	dropped := top.j.stats(t, "nat")["JSTAT_JOOLD_SSS_ENOSPC"]
	t.Logf("J's module dropped %d of %d sessions", dropped, sent)
	if dropped == 0 {
		t.Fatal("J's module dropped no session")
	}
	w.awaitComplete(within, sent)
}

// connections is how many TCP connections a test of states opens.
const connections = 200

// openTCP begins TCP connections from n6 to n4, one for each port, and waits for none.
func (top *topology) openTCP(t testing.TB, ports []uint16, p pace) {
	t.Helper()
	to := &unix.SockaddrInet6{Port: echoPort, Addr: netip.MustParseAddr(addr4in6).As16()}
	top.n6.do(t, func() error {
		for _, port := range ports {
			p.wait()
			fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			t.Cleanup(func() { unix.Close(fd) })
			from := &unix.SockaddrInet6{Port: int(port), Addr: netip.MustParseAddr(addr6).As16()}
			if err := unix.Bind(fd, from); err != nil {
				return err
			}
			if err := unix.Connect(fd, to); err != nil && !errors.Is(err, unix.EINPROGRESS) {
				return err
			}
		}
		return nil
	})
}

// halfOpened has J establish TCP connections while K, which has their SYNs, is cut off. It returns a witness of J and K.
func halfOpened(t *testing.T) (*topology, *witness) {
	t.Helper()
	top := newTopology(t)
	top.serveEcho(t)
	top.sendUDP(t, portRange(9999, 1), 1, pace{}) // finds the neighbours
	w := observe(t, "SYNs", placedOn(group6, top.j, top.k))
	j, k := w.hosts[0], w.hosts[1]
	w.awaitComplete(completeWithin, 1)
	top.n4.ip(t, "route add blackhole "+pool4+"/32")
	top.openTCP(t, portRange(31000, connections), slowly())
	onlySYNs := func(*watched) string {
		if all, established := k.tcp(); all != connections || established != 0 {
			return fmt.Sprintf("%d connections, %d of them established", all, established)
		}
		return ""
	}
	w.await(completeWithin, "K has the SYNs", onlySYNs, k)
	top.lossy(t, 100)
	w.enter("cut off", wrongYesAtMost, func() { w.place(1, k) })
	top.n4.exec(t, "tc", "qdisc", "add", "dev", "e4", "root", "netem", "rate", "80kbit") // a hundred answers a second: 4.1.9 loses reports of a burst
	top.n4.ip(t, "route del blackhole "+pool4+"/32")
	w.await(completeWithin, "J has the connections established", func(*watched) string {
		if all, established := j.tcp(); all != connections || established != connections {
			return fmt.Sprintf("%d connections, %d of them established", all, established)
		}
		return ""
	}, j)
	w.await(completeWithin, "K, which is cut off, has the SYNs only", onlySYNs, k)
	return top, w
}

// testState restores the link when J has established the connections and has become idle.
func testState(t *testing.T) {
	top, w := halfOpened(t)
	const rest = 3 * time.Second // a busy host says HELLO every second
	w.await(completeWithin, "J is idle", func(h *watched) string {
		if at := w.sampled.Sub(h.rest); at < rest {
			return fmt.Sprintf("it sent something %v ago", at)
		}
		return ""
	}, w.hosts[0])
	top.lossy(t, 0)
	w.enter("the link is back", idleWrongYesAtMost, func() { w.place(0, w.hosts...) })
	w.awaitComplete(completeWithin, connections+1)
}

// testStateOneWay has only the way from J to K come back at first: K hears that it lacks reports, and nobody hears K.
func testStateOneWay(t *testing.T) {
	top, w := halfOpened(t)
	k := w.hosts[1]
	o := top.trickle(t, ownSource(0), 100*time.Millisecond, 1)
	top.j.exec(t, "tc", "qdisc", "del", "dev", syncLink, "root")
	w.enter("J's way is back", wrongYesAtMost, func() { w.place(0, w.hosts...) })
	w.await(completeWithin, "K is not ready, or lacks nothing", func(*watched) string {
		if k.state.ready && k.lacks.any() {
			return k.String()
		}
		return ""
	}, k)
	top.k.exec(t, "tc", "qdisc", "del", "dev", syncLink, "root")
	w.enter("K's way is back", wrongYesAtMost, func() {})
	sent := o.mustStop(t)
	w.awaitComplete(completeWithin, connections+1+sent)
}

// testStartTogether has three hosts, each with sessions of its own, start their workers together.
func testStartTogether(t *testing.T) {
	hosts := newHosts(t, "A", "B", "C")
	newSwitch(t, 0, hosts...)
	for i, n := range hosts {
		n.awaitCarrier(t, syncLink)
		n.give(t, i)
	}
	w := observe(t, "start", placedOn(group6, hosts...))
	w.awaitComplete(completeWithin, len(hosts)*ownSessions)
}

// testGroupChange moves a host of a pair to the group of another pair.
func testGroupChange(t *testing.T) {
	const otherGroup = "ff08::db8:64:65"
	hosts := newHosts(t, "A", "B", "C", "D")
	newSwitch(t, 0, hosts...)
	a, b, c, d := hosts[0], hosts[1], hosts[2], hosts[3]
	for _, n := range hosts {
		n.awaitCarrier(t, syncLink)
	}
	a.give(t, 0)
	c.give(t, 1)
	w := observe(t, "two groups", placedOn(group6, a, b), placedOn(otherGroup, c, d))
	moved, others := w.hosts[1], w.hosts[2:]
	w.awaitComplete(completeWithin, ownSessions)
	w.awaitIdle()

	moved.pair.group = otherGroup
	before := moved.changes(moved.pair.name)
	moved.pair.write(t, moved.dir)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(takesEffectWithin); moved.changes(moved.pair.name) == before; <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("B's worker has not taken the other group after %v", takesEffectWithin)
		}
	}
	// B knows that it has another group. C and D, which are idle, have to hear of B.
	w.enter("B has the other group", idleWrongYesAtMost, func() {
		moved.bound = wrongYesAtMost
		w.place(1, moved)
	})
	w.awaitComplete(completeWithin, 2*ownSessions, append(others, moved)...)
}
