package guest

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var tuneRows = flag.String("tune.rows", strings.Join(TuneRows, ","), "which rows TestTune measures")

// TestTune compares other values of the settings that "tune ss" sets, and measures the cost of a change of the
// settings.
func TestTune(t *testing.T) {
	enter(t, "tune")
	var all Tune
	measure := map[string]func(*testing.T){
		"deadline": func(t *testing.T) { all.Deadlines = tuneDeadlines(t) },
		"capacity": func(t *testing.T) { all.Capacities = tuneCapacities(t) },
		"memory":   func(t *testing.T) { all.Queues = newTopology(t).measureQueues(t, 512, 16384, 65536) },
		"update":   func(t *testing.T) { all.Updates = newTopology(t).measureUpdates(t, TuneEntries...) },
	}
	for _, row := range TuneRows {
		if slices.Contains(strings.Split(*tuneRows, ","), row) {
			t.Run(row, measure[row])
		}
	}
	writeJSON(t, "/out/tune.json", all)
}

// newTuneHosts starts joolctl on J and K, whose settings are set before.
func newTuneHosts(t testing.TB, variant, deadline, capacity uint64) *liveHosts {
	t.Helper()
	return startLiveHosts(t, newTopology(t), fmt.Sprint(variant), func(n *namespace, p pair) worker {
		n.changeSettings(t, map[string]uint64{"ss-flush-deadline": deadline, "ss-capacity": capacity})
		return startWorker(t, supervised, n, p)
	})
}

// tuneDeadlines measures latency and cost with each deadline.
func tuneDeadlines(t *testing.T) Live {
	const rounds = 3
	b := &liveBench{}
	var hosts []*liveHosts
	for _, deadline := range TuneDeadlines {
		hosts = append(hosts, newTuneHosts(t, deadline, deadline, TuneCapacity))
	}
	b.tuneLatency(t, hosts, TunePace, liveTraffic{every: 100 * time.Millisecond, burst: 1, n: 60})
	b.tuneLatency(t, hosts, LiveBurst, liveTraffic{every: 300 * time.Millisecond, burst: 5, n: 200})
	for _, h := range hosts {
		h.openSteady(t)
	}
	<-time.After(restFor)
	b.rounds = rounds
	b.costs(t, hosts, LiveSteady, 1, (*liveHosts).sendSteady)
	return b.result
}

// tuneCapacities measures drops with each capacity.
func tuneCapacities(t *testing.T) Live {
	b := &liveBench{rounds: 2}
	var hosts []*liveHosts
	for _, capacity := range TuneCapacities {
		h := newTuneHosts(t, capacity, TuneDeadline, capacity)
		h.openSteady(t)
		hosts = append(hosts, h)
	}
	<-time.After(restFor)
	b.costs(t, hosts, LiveSteady, 1, (*liveHosts).sendSteady)
	b.costs(t, hosts, LiveNew, 1, (*liveHosts).sendFlood)
	return b.result
}

func (b *liveBench) tuneLatency(t *testing.T, hosts []*liveHosts, traffic string, l liveTraffic) {
	inTurn(hosts, 1, traffic, func(h *liveHosts, r LiveRun) {
		m := h.latency(t, l)
		m.LiveRun = r
		t.Log(m)
		b.result.Latency = append(b.result.Latency, m)
	})
}

// floodSources is the number of source ports that sendFlood uses.
const floodSources = TuneFlood / 1000

// sendFlood opens TuneFlood sessions, as fast as J translates, and waits until K's number of sessions is at rest.
func (h *liveHosts) sendFlood(t testing.TB) {
	t.Helper()
	before := h.top.k.sessionCount(t, "nat")
	h.top.flood(t, portRange(uint16(20000+h.opened), floodSources), TuneFlood/floodSources)
	h.opened += floodSources
	h.top.settledCount(t, before+TuneFlood, 2*time.Second, 20*time.Second)
}
