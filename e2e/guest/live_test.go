package guest

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	liveRows     = flag.String("live.rows", "latency,steady,new", "which rows TestLive measures")
	liveRounds   = flag.Int("live.rounds", 3, "how many rounds it has")
	liveVariants = flag.String("live.variants", strings.Join(LiveVariants, ";"), "what it compares, with semicolons between")
	livePace     = flag.String("live.traffic", "", "which traffic of the row latency, such as 10/s; empty for all")
)

// TestLive measures how long new sessions take to the standby's kernel, and what that costs, with C joold and with ours,
// in turn, and leaves the measurements in /out.
func TestLive(t *testing.T) {
	enter(t, "live")
	b := &liveBench{t: t, tuned: tunedSettings(t)}
	b.result.Settings = b.tuned
	t.Logf("tune ss sets %v", b.tuned)
	for round := range *liveRounds {
		variants := strings.Split(*liveVariants, ";")
		for i := range variants { // another one begins each time
			b.run(LiveRun{Variant: variants[(round+i)%len(variants)], Round: round})
		}
	}
	writeJSON(t, "/out/live.json", b.result)
}

type liveBench struct {
	t      *testing.T
	tuned  map[string]uint64
	result Live
}

// run measures one variant, each row in a topology of its own.
func (b *liveBench) run(r LiveRun) {
	for _, row := range []struct {
		name    string
		measure func(t *testing.T, top *topology, j, k worker, r LiveRun)
	}{{"latency", b.latency}, {"steady", b.steady}, {"new", b.newSessions}} {
		if !slices.Contains(strings.Split(*liveRows, ","), row.name) {
			continue
		}
		b.t.Run(fmt.Sprintf("%d/%s/%s", r.Round, r.Variant, row.name), func(t *testing.T) {
			top := newTopology(t)
			j, k := startVariant(t, top, r.Variant, b.tuned)
			row.measure(t, top, j, k, r)
		})
	}
}

func (b *liveBench) latency(t *testing.T, top *topology, _, _ worker, r LiveRun) {
	o := top.newLiveOpener(t)
	for _, l := range liveTraffics {
		if *livePace != "" && *livePace != l.name {
			continue
		}
		m := top.latency(t, o, l)
		m.LiveRun, m.Traffic = r, l.name
		t.Log(m)
		b.result.Latency = append(b.result.Latency, m)
	}
}

func (b *liveBench) steady(t *testing.T, top *topology, j, k worker, r LiveRun) {
	const during = 5 * time.Second
	r.Traffic = "steady"
	b.cost(t, r, top.steady(t, j, k, during))
}

func (b *liveBench) newSessions(t *testing.T, top *topology, j, k worker, r LiveRun) {
	r.Traffic = "new sessions"
	b.cost(t, r, top.newSessions(t, j, k, benchSources, benchPorts))
}

func (b *liveBench) cost(t *testing.T, r LiveRun, m LiveCost) {
	m.LiveRun = r
	t.Log(m)
	b.result.Costs = append(b.result.Costs, m)
}
