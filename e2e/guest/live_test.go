package guest

import (
	"flag"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	liveRows     = flag.String("live.rows", strings.Join(LiveRows, ","), "which rows TestLive measures")
	liveRounds   = flag.Int("live.rounds", 3, "how many rounds it has")
	liveVariants = flag.String("live.variants", strings.Join(LiveVariants, ";"), "what it compares, with semicolons between")
	livePace     = flag.String("live.traffic", "", "which traffic of the row latency, such as 1/s,10/s; empty for all")
)

// TestLive measures the latency of new sessions to the standby's kernel and the daemons' processor time. The variants
// take turns.
func TestLive(t *testing.T) {
	enter(t, "live")
	b := &liveBench{rows: strings.Split(*liveRows, ","), variants: strings.Split(*liveVariants, ";"), rounds: *liveRounds}
	if slices.Contains(b.variants, LiveSame) {
		b.result.Settings = tunedSettings(t)
		t.Logf("tune ss sets %v", b.result.Settings)
	}
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

// row measures a row if the flag asks for it, with new daemons.
func (b *liveBench) row(t *testing.T, name string, measure func(*testing.T, []*liveHosts)) {
	if !slices.Contains(b.rows, name) {
		return
	}
	t.Run(name, func(t *testing.T) { measure(t, b.start(t)) })
}

// start starts the daemons of all variants.
func (b *liveBench) start(t *testing.T) (all []*liveHosts) {
	for _, variant := range b.variants {
		all = append(all, newLiveHosts(t, variant, b.result.Settings))
	}
	return all
}

// inTurn measures each variant once per round. Each round begins with another variant.
func inTurn(all []*liveHosts, rounds int, traffic string, measure func(h *liveHosts, r LiveRun)) {
	for round := range rounds {
		for i := range all {
			h := all[(round+i)%len(all)]
			measure(h, LiveRun{Variant: h.variant, Round: round, Traffic: traffic})
		}
	}
}

func (b *liveBench) latency(t *testing.T, all []*liveHosts) {
	for _, name := range LiveTraffics {
		l := liveTraffics[name]
		if *livePace != "" && !slices.Contains(strings.Split(*livePace, ","), name) || l.bursts() && losesBursts(module(t)) {
			continue
		}
		if testing.Short() {
			l.n = l.short
		}
		inTurn(all, b.rounds, name, func(h *liveHosts, r LiveRun) {
			m := h.latency(t, l)
			m.LiveRun = r
			t.Log(m)
			b.result.Latency = append(b.result.Latency, m)
		})
	}
}

func (b *liveBench) steady(t *testing.T, all []*liveHosts) {
	for _, h := range all {
		h.openSteady(t)
	}
	<-time.After(restFor)
	b.costs(t, all, LiveSteady, 3, (*liveHosts).sendSteady)
}

func (b *liveBench) newSessions(t *testing.T, all []*liveHosts) {
	b.costs(t, all, LiveNew, 4, (*liveHosts).sendNew)
}

// costs measures the daemons' processor time in short slices, in which the variants take turns at random: a busy host's
// speed changes within seconds. A variant's daemons finish their work while the others have their turn.
func (b *liveBench) costs(t *testing.T, all []*liveHosts, traffic string, slicesPerRound int, send func(*liveHosts, testing.TB)) {
	slowMonitor(t)
	for _, h := range all {
		<-time.After(time.Until(h.started.Add(settledAfter)))
	}
	end := func(h *liveHosts) {
		if m, ok := h.endCost(t); ok {
			t.Log(m)
			b.result.Costs = append(b.result.Costs, m)
		}
	}
	for i := range b.rounds * slicesPerRound {
		for _, place := range rand.Perm(len(all)) {
			h := all[place]
			end(h)
			h.beginCost(t, LiveRun{Variant: h.variant, Round: i / slicesPerRound, Traffic: traffic}, i)
			began := time.Now()
			send(h, t)
			h.slice.Took = time.Since(began)
		}
	}
	<-time.After(restFor)
	for _, h := range all {
		end(h)
	}
}
