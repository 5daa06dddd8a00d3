package guest

import (
	"fmt"
	"sync/atomic"
	"testing"
)

// statsPorts are used once each, because all stats servers of a supervisor are in one namespace.
var statsPorts atomic.Int32

func newStatsPort() uint16 { return uint16(4000 + statsPorts.Add(1)) }

// TestSync checks that the standby gets every session of the active NAT64. The sessions are carried by this project's
// joold, by its supervisor, or on one side by Jool's own joold, over an IPv6 group and then over an IPv4 group.
func TestSync(t *testing.T) {
	enter(t, "test")
	t.Parallel()
	for _, d := range []struct{ j, k daemon }{
		{oneJoold, oneJoold},
		{oneJoold, upstream},
		{upstream, oneJoold},
		{supervised, supervised},
		{supervised, upstream},
		{upstream, supervised},
	} {
		t.Run(fmt.Sprintf("%s to %s", d.j, d.k), func(t *testing.T) {
			t.Parallel()
			top := newTopology(t)
			top.serveEcho(t)
			testSync(t, top, group6, d.j, d.k)
			testSync(t, top, group4, d.j, d.k)
		})
	}
}

func testSync(t *testing.T, top *topology, group string, kindJ, kindK daemon) {
	pairJ, pairK := top.pairs(group)
	pairJ.statsPort, pairK.statsPort = newStatsPort(), newStatsPort()
	before := top.k.stats(t, "nat")
	workerK := startWorker(t, kindK, top.k, pairK)
	workerJ := startWorker(t, kindJ, top.j, pairJ)

	top.mixedTraffic(t)
	top.awaitSynced(t)

	checkCounters(t, workerJ, workerK, before)
	workerJ.stop(t)
	workerK.stop(t)
}

// checkCounters compares the counters of both workers with each other and with the increase of the counters of K's
// kernel since before. It waits until no datagram is in flight.
func checkCounters(t testing.TB, j, k worker, before map[string]uint64) {
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
		since := func(name string) uint64 { return kernel[name] - before[name] }
		if n := since("JSTAT_JOOLD_PKT_RCVD"); n != packets {
			return fmt.Sprintf("KERNEL_SENT_PKTS %d, JSTAT_JOOLD_PKT_RCVD %d", packets, n)
		}
		entry := uint64(version.Format().EntryLen())
		if n := since("JSTAT_JOOLD_SSS_RCVD"); n*entry != bytes {
			return fmt.Sprintf("KERNEL_SENT_BYTES %d, JSTAT_JOOLD_SSS_RCVD %d of %d bytes each", bytes, n, entry)
		}
		return ""
	})
}
