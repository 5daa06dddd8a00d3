package guest

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"joolctl/joolnl"
)

// syncedWithin is how long sessions may take to the other side. The kernel
// keeps a batch that isn't full for up to 4 s; the machine is slow.
const syncedWithin = 30 * time.Second

// statsPorts are given away once each: a supervisor's are all in one namespace.
var statsPorts atomic.Int32

func newStatsPort() uint16 { return uint16(4000 + statsPorts.Add(1)) }

// TestSync has the standby know every session of the active NAT64, whoever
// carries them: our joold, our supervisor, or the joold of Jool itself on one side.
func TestSync(t *testing.T) {
	enter(t, "test")
	for _, group := range []struct{ name, address string }{{"IPv6", group6}, {"IPv4", group4}} {
		for _, d := range []struct{ j, k daemon }{
			{oneJoold, oneJoold},
			{oneJoold, upstream},
			{upstream, oneJoold},
			{supervised, supervised},
			{supervised, upstream},
			{upstream, supervised},
		} {
			t.Run(fmt.Sprintf("%s/%s to %s", group.name, d.j, d.k), func(t *testing.T) {
				t.Parallel()
				testSync(t, group.address, d.j, d.k)
			})
		}
	}
}

func testSync(t *testing.T, group string, kindJ, kindK daemon) {
	top := newTopology(t)
	top.serveEcho(t)
	pairJ, pairK := top.pairs(group)
	pairJ.statsPort, pairK.statsPort = newStatsPort(), newStatsPort()
	workerK := startWorker(t, kindK, top.k, pairK)
	workerJ := startWorker(t, kindJ, top.j, pairJ)

	want := top.mixedTraffic(t)
	top.awaitSame(t, "nat", want)

	checkCounters(t, workerJ, workerK)
	workerJ.stop(t)
	workerK.stop(t)
}

// mix is how much traffic mixedTraffic makes, and the function that repeats it.
type mix struct {
	sessions map[joolnl.Proto]int
	repeat   func()
}

// mixedTraffic opens sessions of every protocol through J.
func (top *topology) mixedTraffic(t testing.TB) mix {
	t.Helper()
	const sources, ports, pings, connections = 4, 5, 5, 5
	top.ping(t, portRange(100, 1), pace{}) // the first packets wait for neighbours to be found
	var open []connection
	for i := range connections {
		p := slowly()
		p.wait()
		open = append(open, top.connect(t, uint16(30000+i)))
	}
	repeat := func() {
		for i, c := range open {
			c.mustEcho(t, fmt.Sprintf("connection %d", i))
		}
		top.ping(t, portRange(100, pings), slowly())
		top.sendUDP(t, portRange(40000, sources), ports, slowly())
	}
	repeat()
	return mix{
		sessions: map[joolnl.Proto]int{joolnl.TCP: connections, joolnl.UDP: sources * ports, joolnl.ICMP: pings},
		repeat:   repeat,
	}
}

// awaitSame waits until the instance in K has exactly J's sessions, which are those of m.
func (top *topology) awaitSame(t testing.TB, instance string, m mix) {
	t.Helper()
	if got := count(top.j.sessions(t, instance)); !equal(got, m.sessions) {
		t.Fatalf("J has sessions %v, want %v", got, m.sessions)
	}
	lossy := losesBursts(module(t))
	eventually(t, syncedWithin, "K has J's sessions", func() string {
		missing := diff(top.j.sessions(t, instance), top.k.sessions(t, instance))
		if missing != "" && lossy && m.repeat != nil {
			m.repeat()
		}
		return missing
	})
}

// equal compares counts.
func equal[K comparable](a, b map[K]int) bool {
	for k, n := range a {
		if b[k] != n {
			return false
		}
	}
	return len(a) == len(b)
}

// checkCounters compares the counters of both workers with each other and with
// the kernel's, once nothing is on its way any more.
func checkCounters(t testing.TB, j, k worker) {
	t.Helper()
	eventually(t, syncedWithin, "counters agree", func() string {
		if j.kind.ours() && k.kind.ours() {
			sent, received := j.statistics(t), k.statistics(t)
			for _, unit := range []string{"PKTS", "BYTES"} {
				if s, r := sent["NET_SENT_"+unit], received["NET_RCVD_"+unit]; s != r || s == 0 {
					return fmt.Sprintf("J says NET_SENT_%s %d, K says NET_RCVD_%[1]s %d", unit, s, r)
				}
			}
		}
		version := module(t)
		if !k.kind.ours() {
			return ""
		}
		stats, kernel := k.statistics(t), k.namespace.stats(t, k.pair.instance)
		packets, bytes := stats["KERNEL_SENT_PKTS"], stats["KERNEL_SENT_BYTES"]
		if packets == 0 || bytes == 0 {
			return "K's worker gave nothing to its kernel"
		}
		if !countsJoold(version) {
			return ""
		}
		if n := kernel["JSTAT_JOOLD_PKT_RCVD"]; n != packets {
			return fmt.Sprintf("KERNEL_SENT_PKTS %d, JSTAT_JOOLD_PKT_RCVD %d", packets, n)
		}
		entry := uint64(version.Format().EntryLen())
		if n := kernel["JSTAT_JOOLD_SSS_RCVD"]; n*entry != bytes {
			return fmt.Sprintf("KERNEL_SENT_BYTES %d, JSTAT_JOOLD_SSS_RCVD %d of %d bytes each", bytes, n, entry)
		}
		return ""
	})
}
