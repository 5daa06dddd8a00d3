package guest

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var (
	liveCrashes = flag.Int("live.crashes", 10, "how many crashes joolctl has at each rate; C joold has fewer")
	liveRates   = []int{3, 10, 100} // connections a second
)

// liveUpstreamCrashes is how many crashes C joold has at most at each rate.
const liveUpstreamCrashes = 3

// crashes are all of them, in order: the active's machine and the standby's have to agree.
func crashes() (runs []LiveRun, rates []int) {
	for round := range *liveCrashes {
		for _, rate := range liveRates {
			for _, variant := range strings.Split(*liveVariants, ";") {
				if variant != LiveOurs && round >= liveUpstreamCrashes {
					continue
				}
				runs = append(runs, LiveRun{Variant: variant, Round: round, Traffic: fmt.Sprintf("%d/s", rate)})
				rates = append(rates, rate)
			}
		}
	}
	return runs, rates
}

// The standby's test tells the active's when a run begins and ends.
func crashBegins(run int) string { return fmt.Sprintf("run %d begins", run) }
func crashIsOver(run int) string { return fmt.Sprintf("run %d is over", run) }

// TestCrashActive is the machine that crashes, as the other one sees it: its cables are cut there.
func TestCrashActive(t *testing.T) {
	enter(t, "crash active")
	tuned := tunedSettings(t)
	top := newTopology(t)
	top.useCables(t)
	var told net.PacketConn
	top.j.do(t, func() (err error) {
		told, err = net.ListenPacket("udp4", fmt.Sprintf("%s:%d", syncJ, donePort))
		return err
	})
	defer told.Close()
	pair, _ := top.pairs(group6)
	runs, _ := crashes()
	for i, r := range runs {
		t.Run(fmt.Sprintf("%d/%s/%s", r.Round, r.Variant, r.Traffic), func(t *testing.T) {
			top.j.newInstance(t)
			w := top.j.startVariant(t, pair, r.Variant, tuned)
			awaitTold(t, told, crashBegins(i))
			awaitTold(t, told, crashIsOver(i))
			w.kill()
		})
	}
}

// newInstance gives the namespace an empty instance "nat" in the place of the one that it has.
func (n *namespace) newInstance(t testing.TB) {
	t.Helper()
	n.exec(t, "jool", "instance", "remove", "nat")
	addInstance(t, n, instance{name: "nat", framework: "netfilter", pool6: pool6})
}

// TestCrashStandby has TCP connections opened until the active one crashes, and judges what the standby makes of them.
func TestCrashStandby(t *testing.T) {
	enter(t, "crash standby")
	var result Live
	result.Settings = tunedSettings(t)
	top := newTopology(t)
	top.joinCables(t)
	_, pair := top.pairs(group6)
	runs, rates := crashes()
	for i, r := range runs {
		t.Run(fmt.Sprintf("%d/%s/%s", r.Round, r.Variant, r.Traffic), func(t *testing.T) {
			top.k.newInstance(t)
			w := top.k.startVariant(t, pair, r.Variant, result.Settings)
			top.k.tell(t, crashBegins(i))
			top.awaitFirst(t)
			w.awaitStartResync(t)
			m := top.crash(t, rates[i])
			m.LiveRun = r
			t.Log(m)
			result.Crashes = append(result.Crashes, m)
			top.mend(t)
			w.kill()
			top.k.tell(t, crashIsOver(i))
		})
	}
	writeJSON(t, "/out/live.json", result)
}

// crash has connections opened until J crashes, gives its place to K and has the server speak on each.
func (top *topology) crash(t *testing.T, perSecond int) LiveCrash {
	t.Helper()
	const least, vary = 5 * time.Second, 2 * time.Second // no run meets the module's timer at the same point
	c := top.newLiveClients(t)
	defer c.close()
	var quit atomic.Bool
	opened := make(chan error)
	go func() { opened <- c.open(perSecond, &quit) }()
	<-time.After(least + rand.N(vary))
	at := top.cut(t)
	quit.Store(true)
	top.takeOver(t)
	c.speakNow()
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	return c.after(at)
}

// String words it for the test's log.
func (m LiveCrash) String() string {
	text := fmt.Sprintf("round %d, %s, %s: %d of %d survive, the youngest of them %v old", m.Round, m.Variant, m.Traffic, m.Survivors, m.Connections, tenths(m.YoungestSurvivor))
	if len(m.Lost) > 0 {
		text += fmt.Sprintf("; of the lost ones the oldest was %v old, %d were older than 100 ms", tenths(m.Lost[0]),
			len(m.Lost)-len(slices.DeleteFunc(slices.Clone(m.Lost), func(age time.Duration) bool { return age > 100*time.Millisecond })))
	}
	return text
}
