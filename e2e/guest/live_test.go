package guest

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
)

var (
	liveRows     = flag.String("live.rows", strings.Join(LiveRows, ","), "which rows TestLive measures")
	liveRounds   = flag.Int("live.rounds", 3, "how many rounds it has")
	liveVariants = flag.String("live.variants", strings.Join(LiveVariants, ";"), "what it compares, with semicolons between")
	livePace     = flag.String("live.traffic", "", "which traffic of the row latency, such as 10/s; empty for all")
)

// TestLive measures how long new sessions take to the standby's kernel, and what that costs, with C joold and with ours,
// in turn, and leaves the measurements in /out.
func TestLive(t *testing.T) {
	enter(t, "live")
	b := &liveBench{rows: strings.Split(*liveRows, ","), variants: strings.Split(*liveVariants, ";"), rounds: *liveRounds}
	b.result.Settings = tunedSettings(t)
	t.Logf("tune ss sets %v", b.result.Settings)
	b.row(t, "latency", b.latency)
	b.row(t, "steady", b.steady)
	b.row(t, "new", b.newSessions)
	writeJSON(t, "/out/live.json", b.result)
}

type liveBench struct {
	rows, variants []string
	rounds         int
	result         Live
}

// row runs a row on daemons of its own, if it is asked for.
func (b *liveBench) row(t *testing.T, name string, measure func(*testing.T, []*liveHosts)) {
	if !slices.Contains(b.rows, name) {
		return
	}
	t.Run(name, func(t *testing.T) {
		var all []*liveHosts
		for _, variant := range b.variants {
			all = append(all, newLiveHosts(t, variant, b.result.Settings))
		}
		measure(t, all)
	})
}

// inTurn measures each variant in each round. Another one begins each time.
func inTurn(all []*liveHosts, rounds int, traffic string, measure func(h *liveHosts, r LiveRun)) {
	for round := range rounds {
		for i := range all {
			h := all[(round+i)%len(all)]
			measure(h, LiveRun{Variant: h.variant, Round: round, Traffic: traffic})
		}
	}
}

func (b *liveBench) latency(t *testing.T, all []*liveHosts) {
	for _, l := range liveTraffics {
		if *livePace != "" && *livePace != l.name {
			continue
		}
		inTurn(all, b.rounds, l.name, func(h *liveHosts, r LiveRun) {
			m := h.top.latency(t, h.opener, l)
			m.LiveRun = r
			t.Log(m)
			b.result.Latency = append(b.result.Latency, m)
		})
	}
}

// costRounds is how often the rows steady and new measure a variant in a round: a busy host changes its pace from one
// second to the next, so that what is to be compared must be near.
const costRounds = 3

func (b *liveBench) steady(t *testing.T, all []*liveHosts) {
	for _, h := range all {
		h.openSteady(t)
	}
	b.costs(t, all, "steady", (*liveHosts).measureSteady)
}

func (b *liveBench) newSessions(t *testing.T, all []*liveHosts) {
	b.costs(t, all, "new sessions", (*liveHosts).measureNew)
}

func (b *liveBench) costs(t *testing.T, all []*liveHosts, traffic string, measure func(*liveHosts, testing.TB) LiveCost) {
	inTurn(all, costRounds*b.rounds, traffic, func(h *liveHosts, r LiveRun) {
		m := measure(h, t)
		m.LiveRun = r
		t.Log(fmt.Sprint(m))
		b.result.Costs = append(b.result.Costs, m)
	})
}
