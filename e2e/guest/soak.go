package guest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"joolctl/session"
	control "joolctl/supervisor"
)

const (
	soakPause = 100 * time.Millisecond // between two new sessions of an instance
	soakLooks = 2 * time.Second        // between two looks at the hosts
	// soakExcused is how long after a fault its workers may still be started again, in a slow machine.
	soakExcused = 20 * time.Second
	// soakEqualWithin is how long the tables may take to be equal once nothing is opened any more.
	soakEqualWithin = time.Minute
)

// soakGroup is the instances of the hosts that are kept in step with each other.
type soakGroup struct {
	*site             // as J and K see it; L is the third
	l      *namespace // on another host than both
	pairs  [soakHosts]placed
	conn   connection // open from the beginning to the end
	faults []*soakBefallen
}

// soak is three hosts with five instances each.
type soak struct {
	t      *testing.T
	began  time.Time
	hosts  [soakHosts]*host
	groups [soakInstances]*soakGroup

	befallen []*soakBefallen
	seen     [soakHosts]soakSeen
	used     [soakHosts][]usedAt
	sampled  time.Time
	report   SoakReport
}

// soakBefallen is a fault that has begun.
type soakBefallen struct {
	soakFault
	site        *site
	began, over time.Duration // 0: it is not over
}

// soakSeen is the state of a host at the last check.
type soakSeen struct {
	at       time.Duration
	process  *process
	restarts map[string]int
}

// newSoak makes the hosts, with traffic.
func newSoak(t *testing.T) *soak {
	t.Helper()
	s := &soak{t: t}
	for i := range s.groups {
		g := &soakGroup{site: &site{topology: newTopology(t), group: group6}}
		sw, made := g.onSwitch(t, "L")
		g.l = made[0]
		nodes := []*namespace{g.j, g.k, g.l}
		if i == 0 {
			g.group = group4
		}
		for place, n := range nodes {
			prompt(t, n)
			keepAddresses(t, n, "all", "default", syncLink)
			p := pair{name: n.name, instance: "nat", group: g.group, port: groupPort, link: syncLink}
			if g.group == group4 {
				p.link = fmt.Sprintf("198.51.100.%d", 4+place)
			}
			g.pairs[(activeHost(i)+place)%soakHosts] = placed{p, n}
		}
		g.replug = func(t testing.TB) {
			for place, n := range nodes {
				if !n.hasLink(t, syncLink) {
					n.plug(t, sw, place)
				}
			}
		}
		g.serveEcho(t)
		g.conn = g.connect(t, probeSource+1)
		g.probe = g.startProbe(t, soakPause)
		s.groups[i] = g
	}
	for h := range s.hosts {
		var pairs []placed
		for _, g := range s.groups {
			pairs = append(pairs, g.pairs[h])
		}
		s.hosts[h] = newHost(t, supervised, pairs)
	}
	s.awaitWell("all workers run and are synced")
	return s
}

// as is a group's site where other hosts' NAT64s stand for J and K.
func (s *soak) as(f soakFault) *site {
	g := s.groups[f.instance]
	top, view := *g.topology, *g.site
	view.topology = &top
	view.j, view.pairJ, view.hostJ = g.pairs[f.hostJ].in, g.pairs[f.hostJ].pair, s.hosts[f.hostJ]
	view.k, view.pairK, view.hostK = g.pairs[f.hostK].in, g.pairs[f.hostK].pair, s.hosts[f.hostK]
	return &view
}

// elapsed is the time since the beginning, by the monotonic clock: faults change the wall clock.
func (s *soak) elapsed() time.Duration { return time.Since(s.began) }

// round causes faults in the groups, and waits until all are repaired.
func (s *soak) round(faults []soakFault) {
	type step struct {
		at time.Duration
		do func()
	}
	var steps []step
	for _, f := range faults {
		b := &soakBefallen{soakFault: f}
		steps = append(steps, step{f.at, func() { s.breaks(b) }}, step{f.at + f.away, func() {
			s.t.Logf("%v: repaired: %v", s.elapsed().Round(time.Millisecond), b.soakFault)
			b.repairs(s.t, b.site)
			if b.ends == nil {
				b.over = s.elapsed()
			}
		}})
		if f.ends != nil {
			steps = append(steps, step{f.at + f.away + soakSettles, func() { b.ends(s.t, b.site); b.over = s.elapsed() }})
		}
	}
	slices.SortStableFunc(steps, func(a, b step) int { return int(a.at - b.at) })
	begin := time.Now()
	for _, next := range steps {
		for left := next.at - time.Since(begin); left > 0; left = next.at - time.Since(begin) {
			s.look()
			<-time.After(min(soakLooks, max(0, next.at-time.Since(begin))))
		}
		next.do()
	}
}

func (s *soak) breaks(b *soakBefallen) {
	s.t.Logf("%v: %v", s.elapsed().Round(time.Millisecond), b.soakFault)
	g := s.groups[b.instance]
	b.site, b.began = s.as(b.soakFault), s.elapsed()
	s.befallen, g.faults = append(s.befallen, b), append(g.faults, b)
	b.breaks(s.t, b.site)
	g.floods = b.site.floods // the next opens others
	s.report.Faults++
}

// busy reports whether a fault in progress concerns the host.
func (s *soak) busy(host int) bool {
	return slices.ContainsFunc(s.befallen, func(b *soakBefallen) bool { return b.host && b.victim() == host && b.over == 0 })
}

// excused reports whether a fault since the given moment may have affected a worker; with a negative instance, any
// worker of the host.
func (s *soak) excused(host, instance int, since time.Duration) bool {
	return slices.ContainsFunc(s.befallen, func(b *soakBefallen) bool {
		recent := b.over == 0 || since <= b.over+soakExcused
		if instance < 0 {
			return recent && b.host && b.victim() == host
		}
		return recent && b.concerns(host, instance)
	})
}

// look sees to it that nothing is started again that no fault concerns, and now and then samples what is used.
func (s *soak) look() {
	const sampleEvery = 5 * time.Second
	sample := time.Since(s.sampled) >= sampleEvery
	if sample {
		s.sampled = time.Now()
		for _, g := range s.groups {
			g.conn.mustEcho(s.t, "still there")
		}
	}
	for h, host := range s.hosts {
		if !s.busy(h) {
			s.lookAt(h, host, sample)
		}
	}
}

func (s *soak) lookAt(h int, host *host, sample bool) {
	process := host.processes[0]
	process.running(s.t)
	seen := &s.seen[h]
	status, err := control.Client{Socket: host.socket}.Status(context.Background(), nil)
	if err != nil {
		if !s.excused(h, -1, seen.at) {
			s.t.Errorf("%v: host %d: %v", s.elapsed(), h, err)
		}
		return
	}
	if sample {
		u := useOf(s.t, process)
		u.Goroutines = int(status.Runtime.Goroutines)
		s.used[h] = append(s.used[h], usedAt{s.elapsed(), u})
	}
	if seen.process != process {
		s.report.Processes++
		seen.process, seen.restarts = process, make(map[string]int)
	}
	rows := make(map[string]control.Row)
	for _, r := range status.Workers {
		rows[r.Name] = r
	}
	for i, g := range s.groups {
		name := g.pairs[h].name
		r, there := rows[name]
		again := r.Restarts - seen.restarts[name]
		if (!there || r.State != control.Running || again > 0) && !s.excused(h, i, seen.at) {
			s.t.Errorf("%v: host %d: worker %s was changed by no fault of its own: there %v, %s since %v, started again %d times more: %s",
				s.elapsed(), h, name, there, r.State, r.Since, again, r.Reason)
		}
		s.report.Restarts += max(0, again)
		seen.restarts[name] = r.Restarts
	}
	seen.at = s.elapsed()
}

// awaitWell waits until all workers of all hosts run and are synced.
func (s *soak) awaitWell(what string) {
	s.t.Helper()
	eventually(s.t, time.Minute, what, func() string {
		for _, h := range s.hosts {
			for name, r := range h.rows(s.t) {
				if r.Synced != "yes" {
					return fmt.Sprintf("%s is synced: %s", name, r.Synced)
				}
			}
		}
		return ""
	})
}

// compare has the traffic pause, and sees to it that each host has each session.
func (s *soak) compare() {
	s.t.Helper()
	const traffic = 3 * time.Second // the time for which traffic continues after the last fault
	for end := time.Now().Add(traffic); time.Now().Before(end); <-time.After(pollEvery) {
		s.look()
	}
	for _, g := range s.groups {
		g.probe.pauses.Store(true)
	}
	s.awaitWell("all workers run again")
	end := time.Now().Add(soakEqualWithin)
	for i, g := range s.groups {
		for h, p := range g.pairs {
			if h == activeHost(i) {
				continue
			}
			for {
				sessions, different, n := g.unlike(s.t, p.in)
				if different == "" {
					s.report.Comparisons++
					s.report.Compared += n
					break
				}
				if time.Now().After(end) {
					s.t.Errorf("%v: instance %d, host %d lacks something after %v (J is host %d):\n%s", s.elapsed(), i, h, soakEqualWithin, activeHost(i), different)
					s.explain(g, soakFault{instance: i, hostJ: activeHost(i), hostK: h}, sessions)
					break
				}
				<-time.After(pollEvery)
			}
		}
	}
	s.look()
	if s.t.Failed() {
		s.t.FailNow()
	}
	for _, g := range s.groups {
		g.probe.pauses.Store(false)
	}
}

// unlike returns the sessions of J that a standby lacks or holds in another state, the same as text, and the number of
// compared sessions. Sessions that are about to expire are not compared.
func (g *soakGroup) unlike(t testing.TB, standby *namespace) (sessions []session.Session, text string, n int) {
	t.Helper()
	read := time.Now()
	inJ := g.j.sessions(t, "nat")
	later := time.Since(read)
	inK := standby.sessions(t, "nat")
	expiring := make(map[ends]bool)
	for _, s := range slices.Concat(inJ, inK) {
		if s.Expires < expiresSoon {
			expiring[endsOf(s)] = true
		}
	}
	gone := func(s session.Session) bool { return expiring[endsOf(s)] }
	for i := range inK {
		inK[i].Expires += later
	}
	inJ, inK = slices.DeleteFunc(inJ, gone), slices.DeleteFunc(inK, gone)
	sessions, text = unlike(inJ, inK)
	return sessions, text, len(inJ)
}

// explain logs what tells where sessions went, and which faults the group has had.
func (s *soak) explain(g *soakGroup, f soakFault, missing []session.Session) {
	s.t.Helper()
	s.as(f).explain(s.t, missing)
	for _, m := range missing[:min(len(missing), 10)] {
		if place, ok := placeOf(m); ok {
			s.t.Logf("%v was opened at %v", m.Dst4, g.probe.openedAt(place).Sub(s.began))
		}
	}
	for _, b := range g.faults {
		s.t.Logf("%v from %v to %v", b.soakFault, b.began, b.over)
	}
}

// judge ends the report, and fails the test if anything leaks. Tables are full, and memory settled, when the first sessions expire.
func (s *soak) judge() {
	const expire = 5 * time.Minute
	r := &s.report
	r.Took = s.elapsed()
	kinds := make(map[string]bool)
	for _, b := range s.befallen {
		kinds[b.name] = true
	}
	r.Kinds = len(kinds)
	for _, g := range s.groups {
		r.Opened += g.probe.next()
	}
	s.t.Logf("kinds of faults: %v", slices.Sorted(maps.Keys(kinds)))
	for h := range s.hosts {
		u, ok := thirds(s.used[h], min(expire, r.Took/2), r.Took)
		if !ok {
			s.t.Errorf("host %d: too few samples: %v", h, s.used[h])
			continue
		}
		r.Hosts = append(r.Hosts, u)
		s.t.Logf("host %d: %+v", h, u)
		if leak := u.leaks(h != 0); leak != "" {
			s.t.Errorf("host %d: %s", h, leak)
		}
	}
}
