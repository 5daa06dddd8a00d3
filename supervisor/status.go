package supervisor

import (
	"context"
	"slices"
	"sync"
	"time"

	"joolctl/configdir"
	"joolctl/replication"
	"joolctl/worker"
)

// Status is the answer of `joolctl status -o json`.
type Status struct {
	// Directory is the directory of pairs.
	Directory string `json:"directory"`
	// Version is the version of the running supervisor.
	Version string `json:"version"`
	// UptimeSeconds is how long the supervisor has run.
	UptimeSeconds float64 `json:"uptime_seconds"`
	// Runtime describes the resources that the program itself uses.
	Runtime Runtime `json:"runtime"`
	// Reason is why the directory can't be read at the moment. It is missing if it can.
	Reason string `json:"reason,omitempty"`
	// Totals are the sums of the stats of the workers that are listed.
	Totals worker.Stats `json:"totals"`
	// Workers has the named pairs, or all, in natural order of their names.
	Workers []Row `json:"workers"`
}

// Status describes the named pairs, or all pairs if no names are given. It waits for a stuck kernel no longer than
// kernelPatience.
func (s *Supervisor) Status(ctx context.Context, names []string) (Status, error) {
	status, workers, err := s.describe(ctx, names)
	if err != nil {
		return Status{}, err
	}
	var asking sync.WaitGroup
	for i, l := range workers {
		if l != nil {
			asking.Go(func() { status.Workers[i].Kernel = l.kernel(ctx) })
		}
	}
	asking.Wait()
	return status, nil
}

// describe returns the status of the named pairs without the module's counters, and for each row the running worker;
// nil: none runs.
func (s *Supervisor) describe(ctx context.Context, names []string) (status Status, workers []*live, err error) {
	var counters []*worker.Counters
	err = s.do(ctx, func() error {
		status = Status{
			Directory: s.opt.Dir, Version: s.opt.Version, Reason: s.troubled,
			UptimeSeconds: seconds(time.Since(s.started)),
			Runtime:       currentRuntime(),
			Workers:       []Row{},
		}
		selected, err := s.selection(names, len(names) == 0)
		for _, p := range selected {
			row := p.row()
			row.Rates = p.meter.rates(sampleOf(p.counters, time.Now()))
			now, st := time.Now(), p.readiness()
			row.Reasons = append(row.Reasons, st.reasons(now, ReadyOptions{})...)
			row.Warnings = st.warnings(row.Reasons, now, ReadyOptions{})
			status.Workers, counters, workers = append(status.Workers, row), append(counters, p.counters), append(workers, p.live)
		}
		return err
	})
	if err != nil {
		return Status{}, nil, err
	}
	for i := range status.Workers {
		row := &status.Workers[i]
		row.count(counters[i])
		status.Totals = status.Totals.Add(row.Stats)
		if l := workers[i]; l != nil {
			row.takePeers(l.Peers(), time.Now())
			row.take(l.Sync())
		}
	}
	return status, workers, nil
}

func (p *pair) row() Row {
	security := securityOf(&p.spec)
	return Row{
		KeyIDs: keyIDs(&security.Security),
		Name:   p.name, Namespace: p.spec.Namespace, Instance: p.spec.Instance, Group: groupOf(&p.spec), ConfiguredPeers: configuredPeers(&p.spec), Security: p.spec.Security.String(),
		State: p.state, Reason: p.explanation(), Since: p.since.UTC().Truncate(time.Second),
		Restarts: p.restarts + p.current, Synced: "no",
		Reasons: []replication.Reason{}, Warnings: []replication.Reason{}, DifferingCounters: []string{},
		Kernel: map[string]uint64{}, Peers: []Peer{},
	}
}

// selection returns the named pairs, or all pairs, in natural order.
func (s *Supervisor) selection(names []string, all bool) ([]*pair, error) {
	if all {
		names = s.names()
	}
	var selected []*pair
	for _, name := range names {
		p := s.pairs[name]
		if p == nil {
			return nil, &UnknownName{Name: name, Known: s.names()}
		}
		if !slices.Contains(selected, p) {
			selected = append(selected, p)
		}
	}
	slices.SortFunc(selected, func(a, b *pair) int { return configdir.NaturalCompare(a.name, b.name) })
	return selected, nil
}

func (s *Supervisor) names() []string {
	names := []string{}
	for name := range s.pairs {
		names = append(names, name)
	}
	slices.SortFunc(names, configdir.NaturalCompare)
	return names
}
