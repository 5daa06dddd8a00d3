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
	// Runtime is what the program itself uses.
	Runtime Runtime `json:"runtime"`
	// Reason is why the directory can't be read at the moment. It is missing if it can.
	Reason string `json:"reason,omitempty"`
	// Totals are the sums of the stats of the workers that are listed.
	Totals worker.Stats `json:"totals"`
	// Workers has the named pairs, or all, in natural order of their names.
	Workers []Row `json:"workers"`
}

// Status describes the named pairs, all of them if no names are given. It does
// not wait for a kernel that is stuck.
func (s *Supervisor) Status(ctx context.Context, names []string) (Status, error) {
	type entry struct {
		Row
		counters *worker.Counters
		live     *live
	}
	var status Status
	var entries []entry
	err := s.do(ctx, func() error {
		status = Status{
			Directory: s.opt.Dir, Version: s.opt.Version, Reason: s.troubled,
			UptimeSeconds: seconds(time.Since(s.started)),
			Runtime:       currentRuntime(),
		}
		selected, err := s.selection(names, len(names) == 0)
		for _, p := range selected {
			row := p.row()
			row.Rates = p.meter.rates(sampleOf(p.counters, time.Now()))
			now, st := time.Now(), p.standing()
			row.Reasons = append(row.Reasons, st.reasons(now, ReadyOptions{})...)
			row.Warnings = st.warnings(now, ReadyOptions{})
			entries = append(entries, entry{row, p.counters, p.live})
		}
		return err
	})
	if err != nil {
		return Status{}, err
	}
	var asking sync.WaitGroup
	for i := range entries {
		e := &entries[i]
		e.Stats, e.Ledger, e.Losses = e.counters.Stats(), e.counters.Ledger(), e.counters.Losses()
		e.LostSessions = e.counters.LostSessions()
		status.Totals = status.Totals.Add(e.Stats)
		if e.live != nil {
			e.takePeers(e.live.Peers(), time.Now())
			e.take(e.live.Sync())
			asking.Go(func() { e.Kernel = e.live.kernel(ctx) })
		}
	}
	asking.Wait()
	status.Workers = []Row{}
	for _, e := range entries {
		status.Workers = append(status.Workers, e.Row)
	}
	return status, nil
}

func (p *pair) row() Row {
	return Row{
		Name: p.name, Namespace: p.spec.Namespace, Instance: p.spec.Instance,
		State: p.state, Reason: p.explanation(), Since: p.since.UTC().Truncate(time.Second),
		Restarts: p.restarts + p.current, Synced: "no",
		Reasons: []replication.Reason{}, Warnings: []replication.Reason{}, DifferingCounters: []string{},
		Kernel: map[string]uint64{}, Peers: []Peer{},
	}
}

// selection is the pairs named, or all, in natural order.
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
