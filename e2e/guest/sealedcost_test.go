package guest

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestSealedCost measures what a key costs: joolctl with a key beside joolctl without one. The machine's clock counts instructions. In the
// short form it measures less, and the bounds are looser.
func TestSealedCost(t *testing.T) {
	enter(t, "sealed cost")
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Fatal(err)
	}
	for _, instruction := range []string{"aes", "pclmulqdq"} {
		if !strings.Contains(string(info), " "+instruction+" ") {
			t.Fatalf("the machine's processor lacks %s: the cost would be that of a cipher without it", instruction)
		}
	}
	steady, sessions, opened := 100, 1_000_000, 3000
	if testing.Short() {
		steady, sessions, opened = 40, 20_000, 1000
	}
	t.Run("steady traffic", func(t *testing.T) { sealedSteady(t, steady) })
	t.Run("latency", func(t *testing.T) { sealedLatency(t, opened) })
	t.Run("full sync", func(t *testing.T) { sealedFullSync(t, sessions) })
}

// withoutAndWith runs a measurement without a key and with one.
func withoutAndWith[M any](t *testing.T, measure func(*testing.T, func(pair) pair) M) (without, with M) {
	t.Helper()
	t.Run("without a key", func(t *testing.T) { without = measure(t, func(p pair) pair { return p }) })
	t.Run("with a key", func(t *testing.T) {
		dir := keyDirectory(t)
		with = measure(t, func(p pair) pair { return p.withKey(t, dir) })
	})
	return without, with
}

// ratio logs how much more something takes with a key, and checks the bound.
func ratio[N time.Duration | float64](t *testing.T, what string, with, without N, bound float64) {
	t.Helper()
	r := float64(with) / float64(without)
	t.Logf("%s, with a key beside without: %.3f (%v, %v)", what, r, with, without)
	if !(r <= bound) {
		t.Errorf("%s: with a key %.3f times as much as without, may be %v", what, r, bound)
	}
}

// sealedSteady sends packets over connections that continue, and opens new ones.
func sealedSteady(t *testing.T, rounds int) {
	type costs struct{ steady, opened LiveCost }
	without, with := withoutAndWith(t, func(t *testing.T, change func(pair) pair) (c costs) {
		h := startLiveHosts(t, newTopology(t), LiveOurs, func(n *namespace, p pair) worker { return n.startTuned(t, change(p)) })
		h.openSteady(t)
		messages := messagesTo(steadyPorts)
		h.beginCost(t, LiveRun{Variant: LiveOurs, Traffic: LiveSteady}, 0)
		for range rounds * steadySources {
			h.sendBatch(t, messages)
		}
		<-time.After(restFor)
		c.steady, _ = h.endCost(t)
		h.beginCost(t, LiveRun{Variant: LiveOurs, Traffic: LiveNew}, 1)
		h.sendNew(t)
		<-time.After(restFor)
		c.opened, _ = h.endCost(t)
		t.Log(c.steady)
		t.Log(c.opened)
		return c
	})
	together, each := 1.15, 1.15
	if testing.Short() {
		each = 1.4 // of so few packets, Go's own threads take a larger part than the cipher
	}
	per := func(c time.Duration, m LiveCost) float64 { return float64(c) / float64(m.Packets) }
	for _, m := range []struct {
		name          string
		without, with LiveCost
	}{{LiveSteady, without.steady, with.steady}, {LiveNew, without.opened, with.opened}} {
		ratio(t, m.name+": ns of J's daemon per packet", per(m.with.SendCPU, m.with), per(m.without.SendCPU, m.without), each)
		ratio(t, m.name+": ns of K's daemon per packet", per(m.with.RecvCPU, m.with), per(m.without.RecvCPU, m.without), each)
		ratio(t, m.name+": ns of both per packet", per(m.with.SendCPU+m.with.RecvCPU, m.with), per(m.without.SendCPU+m.without.RecvCPU, m.without), together)
	}
}

// sealedLatency measures the time from a session's first packet until K's kernel has the session.
func sealedLatency(t *testing.T, opened int) {
	without, with := withoutAndWith(t, func(t *testing.T, change func(pair) pair) LiveLatency {
		h := startLiveHosts(t, newTopology(t), LiveOurs, func(n *namespace, p pair) worker { return n.startTuned(t, change(p)) })
		m := h.latency(t, liveTraffic{10 * time.Millisecond, 1, opened, 0})
		t.Log(m)
		if m.Lost > 0 {
			t.Errorf("%d sessions of %d are lost", m.Lost, m.Opened)
		}
		return m
	})
	bound := 1.1
	if testing.Short() {
		bound = 1.5 // the few longest times depend on when the packets come between two flush deadlines of the module
	}
	for _, q := range []float64{0.5, 0.99} {
		ratio(t, fmt.Sprintf("latency, quantile %v", q), quantile(with.Times(), q), quantile(without.Times(), q), bound)
	}
}

// sealedFullSync measures a full sync to a cold standby.
func sealedFullSync(t *testing.T, sessions int) {
	without, with := withoutAndWith(t, func(t *testing.T, change func(pair) pair) time.Duration {
		top := newTopology(t)
		pairJ, pairK := top.pairs(group6)
		top.j.fill(t, "nat", sessions)
		startWorker(t, supervised, top.j, change(pairJ)).awaitSynced(t, "alone")
		k := startWorker(t, supervised, top.k, change(pairK))
		if got, _ := top.settledCount(t, sessions, time.Minute, 8*time.Minute); got != sessions {
			t.Errorf("%d sessions of %d", got, sessions)
		}
		return k.awaitFullSync(t, nil, time.Minute).Duration()
	})
	ratio(t, fmt.Sprintf("full sync of %d sessions", sessions), with, without, 1.2)
}
