package guest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	control "joolctl/supervisor"
)

// Time limits, where the machine's clock counts instructions.
const (
	// crossesWithin is how long the test waits for a new session to cross.
	crossesWithin = 10 * time.Second
	// healsWithin is the time within which new sessions must cross. polledWithin is that time for faults whose end only
	// polling detects.
	healsWithin  = time.Second
	polledWithin = 5 * time.Second
	// oldBackWithin is the time within which the standby must have all sessions. It includes reading both tables, which
	// takes half a second each after the largest burst.
	oldBackWithin = 3 * time.Second
	// oldWithin is how long the test waits for that.
	oldWithin = 30 * time.Second
	// upstreamWithin is how long the test waits for C joold.
	upstreamWithin = 10 * time.Second
)

// TestChaos causes every fault in one pair of NAT64s while other pairs run. The pair recovers, and the other pairs are
// not affected. TestChaos writes its measurements to /out. Its short form leaves out C joold.
func TestChaos(t *testing.T) {
	enter(t, "chaos")
	t.Setenv(envPanics, t.TempDir())
	var c chaos
	sites, sizes := 10, burstSizes{100_000, 10_000}
	if testing.Short() {
		sites, sizes = 4, burstSizes{10_000, 2_000}
	}
	c.befallAll(t, "one of many", sites, faults(sizes))
	if testing.Short() {
		sites = 2 // faults of the module concern both sites
	}
	c.befallAll(t, "module", sites, moduleFaults(module(t).String(), otherVersion(t)))
	writeJSON(t, "/out/chaos.json", c.rows)
}

// befallAll causes each fault in a pair with joolctl, then in a pair with C joold.
func (c *chaos) befallAll(t *testing.T, name string, sites int, all []fault) {
	rows := make([]ChaosRow, len(all))
	t.Run(name, func(t *testing.T) {
		c.newSites(t, sites)
		for i, f := range all {
			s := c.sites[1+i%(sites-1)]
			if f.ipv4 {
				s = c.sites[0]
			}
			if f.machine { // one that knows that its instance is another one since
				s = c.sites[1]
			}
			t.Run(f.name, func(t *testing.T) {
				rows[i].Fault = f.name
				rows[i].Ours = c.ours(t, f, s)
			})
		}
		c.complete(t)
	})
	for i, f := range all {
		if !testing.Short() && !f.onlyOurs && rows[i].Fault != "" {
			t.Run(f.name+", C joold", func(t *testing.T) { rows[i].Upstream = c.upstream(t, f) })
		}
	}
	c.rows = append(c.rows, slices.DeleteFunc(rows, func(r ChaosRow) bool { return r.Fault == "" })...) // not asked for
}

// newSites returns new sites, the first with an IPv4 group. It waits until sessions cross in each.
func (c *chaos) newSites(t *testing.T, n int) {
	groups := slices.Repeat([]string{group6}, n)
	groups[0] = group4
	c.sites = newSites(t, groups...)
	serve(t, supervised, c.sites)
	for _, s := range c.sites {
		// All full syncs of the start run at the same time, and sessions already wait.
		if _, ok := s.awaitCrossing(t, s.probe, time.Minute); !ok {
			t.Fatalf("%s: no session crosses", s.j.name)
		}
	}
}

// complete waits until each standby has every session.
func (c *chaos) complete(t *testing.T) {
	for _, s := range c.sites {
		eventually(t, oldWithin, s.j.name+"'s sessions are all at the standby", func() string {
			if missing := s.missing(t, s.probe.next()-10); len(missing) > 0 {
				return fmt.Sprintf("%d are missing, the first %v", len(missing), missing[0])
			}
			return ""
		})
	}
}

type chaos struct {
	sites []*site
	rows  []ChaosRow
}

// ours causes a fault in one of the supervisors' sites.
func (c *chaos) ours(t *testing.T, f fault, s *site) ChaosResult {
	before := rowsOf(t, s)
	patience := max(1, f.patience)
	r := befall(t, f, s, crossesWithin*patience, oldWithin*patience)
	heals := healsWithin
	if f.polled {
		heals = polledWithin
	}
	if !r.Crosses || r.Missing > 0 || r.After > heals || r.OldAfter > patience*oldBackWithin {
		t.Errorf("%+v", r)
	}
	if f.overruns && s.hostJ.rows(t)[s.pairJ.name].Losses.NetlinkOverruns == 0 {
		t.Error("the netlink socket was not overrun")
	}
	unchanged(t, f, s, before)
	agree(t, s)
	if f.ends != nil {
		f.ends(t, s)
	}
	return r
}

// upstream causes a fault in a pair of C joolds.
func (c *chaos) upstream(t *testing.T, f fault) *ChaosResult {
	group := group6
	if f.ipv4 {
		group = group4
	}
	sites := newSites(t, group)
	serve(t, upstream, sites)
	r := befall(t, f, sites[0], upstreamWithin, upstreamWithin)
	if f.ends != nil {
		f.ends(t, sites[0])
	}
	return &r
}

// befall causes a fault in a site, and measures when its sessions cross again.
func befall(t *testing.T, f fault, s *site, crosses, old time.Duration) ChaosResult {
	if _, ok := s.awaitCrossing(t, s.probe, crosses); !ok {
		t.Fatal("no session crosses before the fault")
	}
	var r ChaosResult
	before := s.probe.next()
	f.breaks(t, s)
	away := f.full
	if testing.Short() {
		away = f.short
	}
	<-time.After(away) // the fault lasts
	f.repairs(t, s)
	back := time.Now()
	r.Opened = s.probe.next() - before
	r.After, r.Crosses = s.awaitCrossing(t, s.probe, crosses)
	upTo := s.probe.next()
	for end := time.Now().Add(old); ; <-time.After(pollEvery) {
		missing := s.missing(t, upTo)
		r.Missing, r.OldAfter = len(missing), time.Since(back)
		if r.Missing > 0 && time.Now().Before(end) {
			continue
		}
		t.Logf("%s: %+v", f.name, r)
		if r.Missing > 0 {
			s.explain(t, missing)
		}
		return r
	}
}

// rowsOf returns the rows of all workers of both hosts.
func rowsOf(t *testing.T, s *site) map[string]control.Row {
	rows := s.hostJ.rows(t)
	maps.Copy(rows, s.hostK.rows(t))
	return rows
}

// agree fails the test if the counters of a worker, or those of two peers, do not agree. No fault is a reason for a
// difference.
func agree(t *testing.T, s *site) {
	for name, r := range rowsOf(t, s) {
		for _, text := range r.DifferingCounters {
			if strings.HasPrefix(text, "NET_SENT") || strings.Contains(text, "please report") {
				t.Errorf("%s: %s", name, text)
			}
		}
	}
}

// unchanged fails the test if a worker that the fault does not concern was restarted, or left its state.
func unchanged(t *testing.T, f fault, s *site, before map[string]control.Row) {
	if f.machine {
		return
	}
	after := rowsOf(t, s)
	concerned := map[string]bool{s.pairJ.name: !f.nobody, s.pairK.name: !f.nobody}
	if f.everyone {
		victim := s.hostJ
		if f.onK {
			victim = s.hostK
		}
		for _, p := range victim.pairs {
			concerned[p.name] = true
		}
	}
	var changed []string
	for name, b := range before {
		a := after[name]
		if concerned[name] {
			continue
		}
		if a.State != b.State || a.Restarts != b.Restarts || !a.Since.Equal(b.Since) {
			changed = append(changed, fmt.Sprintf("%s: before %s since %v, restarts %d; after %s since %v, restarts %d (%s)",
				name, b.State, b.Since, b.Restarts, a.State, a.Since, a.Restarts, a.Reason))
		}
	}
	if len(changed) > 0 {
		t.Errorf("workers that the fault does not concern were changed:\n%s", strings.Join(changed, "\n"))
	}
}
