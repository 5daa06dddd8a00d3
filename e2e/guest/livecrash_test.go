package guest

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var liveCrashes = flag.Int("live.crashes", 10, "how many crashes joolctl has at each rate; C joold has 3 of them at most")

// crashRun is a crash to make.
type crashRun struct {
	LiveRun
	perSecond int
}

// crashRuns lists the crashes. Both machines go through the same list.
func crashRuns() (runs []crashRun) {
	const mostUpstream = 3
	rates := LiveRates
	if testing.Short() {
		rates = []string{"10/s"}
	}
	for round := range *liveCrashes {
		for _, rate := range rates {
			for variant := range strings.SplitSeq(*liveVariants, ";") {
				if variant != LiveOurs && round >= mostUpstream {
					continue
				}
				r := crashRun{LiveRun: LiveRun{Variant: variant, Round: round, Traffic: rate}}
				if _, err := fmt.Sscanf(rate, "%d/s", &r.perSecond); err != nil {
					panic(err) // LiveRates is a constant
				}
				runs = append(runs, r)
			}
		}
	}
	return runs
}

// crashSettings are the settings for the variant LiveSame.
func crashSettings(t *testing.T) map[string]uint64 {
	if !slices.Contains(strings.Split(*liveVariants, ";"), LiveSame) {
		return nil
	}
	return tunedSettings(t)
}

// The standby's test sends these words to the active host's test.
func crashBegins(run int) string { return fmt.Sprintf("run %d begins", run) }
func crashIsOver(run int) string { return fmt.Sprintf("run %d is over", run) }

// TestLiveActive runs J. The standby's machine cuts the cables.
func TestLiveActive(t *testing.T) {
	enter(t, "live active")
	tuned := crashSettings(t)
	top := newTopology(t)
	top.useCables(t)
	told := top.j.listenToStandby(t)
	pair, _ := top.pairs(group6)
	for i, r := range crashRuns() {
		t.Run(r.name(), func(t *testing.T) {
			top.j.replaceInstance(t)
			w := top.j.startVariant(t, pair, r.Variant, tuned)
			awaitTold(t, told, crashBegins(i))
			awaitTold(t, told, crashIsOver(i))
			w.kill()
		})
	}
}

// TestLiveStandby runs K and the hosts. It opens TCP connections through J until J crashes, and counts those that K serves.
func TestLiveStandby(t *testing.T) {
	enter(t, "live standby")
	var result Live
	result.Settings = crashSettings(t)
	top := newTopology(t)
	top.joinCables(t)
	_, pair := top.pairs(group6)
	for i, r := range crashRuns() {
		t.Run(r.name(), func(t *testing.T) {
			top.k.replaceInstance(t)
			w := top.k.startVariant(t, pair, r.Variant, result.Settings)
			top.k.tell(t, crashBegins(i))
			top.awaitFirst(t)
			w.awaitComplete(t)
			m := top.crash(t, r.perSecond)
			m.LiveRun = r.LiveRun
			t.Log(m)
			result.Crashes = append(result.Crashes, m)
			top.mend(t)
			w.kill()
			top.k.tell(t, crashIsOver(i))
		})
	}
	writeJSON(t, "/out/live.json", result)
}

// crash opens connections until J crashes, lets K take over, and lets the server send on each connection.
func (top *topology) crash(t *testing.T, perSecond int) LiveCrash {
	t.Helper()
	least, vary := 5*time.Second, 2*time.Second // random, because the module's timer has a period of 2 s
	if testing.Short() {
		least, vary = 3*time.Second, time.Second
	}
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

// String is for the test's log.
func (m LiveCrash) String() string {
	text := fmt.Sprintf("%s: %d of %d survive, the youngest of them %v old", m.LiveRun, m.Survivors, m.Connections, tenths(m.YoungestSurvivor))
	if len(m.Lost) > 0 {
		text += fmt.Sprintf("; the oldest lost one was %v old", tenths(m.Lost[0]))
	}
	return text
}
