package supervisor

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"joolctl/configdir"
	"joolctl/worker"
)

// pair is a row: a name of the directory and what it has. It belongs to the
// supervisor's goroutine, but for the counters.
type pair struct {
	name     string
	counters *worker.Counters
	// spec is what it runs with or is about to; meaningless while failed.
	spec configdir.Spec
	// keeper has its worker. It is nil while failed, and while pending: another
	// worker has to stop first.
	keeper  *keeper
	pending bool
	// unsettled until the worker has reached its first state.
	unsettled bool
	// live is the worker that runs, if one does.
	live *live
	// ran is true once it was running.
	ran bool

	state  State
	reason string
	since  time.Time
	// restarts counts those before the present keeper, current the keeper's.
	restarts, current int

	// refused says why the newest files are not what runs, and since when.
	refused      []string
	refusedSince time.Time

	// target is what its files ask for, where a running worker has not taken
	// that yet; trouble says why it can't, troubleSince since when.
	target       *configdir.Spec
	trouble      string
	troubleSince time.Time

	stats statsSocket
}

// keeper is a worker's keeper and the way to stop it.
type keeper struct {
	pair *pair
	// spec changes only its name.
	spec atomic.Pointer[configdir.Spec]
	stop context.CancelFunc
	ran  bool
}

// has is true if the pair has a worker, or is about to.
func (p *pair) has() bool { return p.keeper != nil || p.pending }

// become changes the state; since moves only with it.
func (s *Supervisor) become(p *pair, state State, reason string) {
	if p.state == state && p.reason == reason {
		return
	}
	if p.state != state {
		p.since = time.Now()
	}
	p.state, p.reason = state, reason
	switch state {
	case Running:
		s.log.Info("worker is running", "pair", p.name, "module", p.live.ModuleVersion())
	case Waiting:
		s.log.Info("worker is waiting", "pair", p.name, "reason", reason)
	case Backoff:
		s.log.Warn("worker has failed", "pair", p.name, "reason", reason)
	}
}

// begin gives a pair its worker, as soon as nothing is in its way.
func (s *Supervisor) begin(p *pair, spec configdir.Spec) {
	p.spec, p.pending, p.unsettled = spec, true, true
}

// startPending starts the workers that nothing is in the way of any more.
func (s *Supervisor) startPending() {
	if s.closing {
		return
	}
	for _, p := range s.pairs {
		if !p.pending {
			continue
		}
		if k := s.inTheWay(p.spec); k != nil {
			s.become(p, Waiting, fmt.Sprintf("starts when the worker before it, of pair %q, has stopped", k.spec.Load().Name))
			continue
		}
		p.pending = false
		s.become(p, Waiting, "starting")
		s.launch(p)
	}
}

// inTheWay is a stopping worker that has what a spec needs.
func (s *Supervisor) inTheWay(spec configdir.Spec) *keeper {
	spec.Name, spec.StatsPort = "", 0
	for k := range s.stopping {
		other := *k.spec.Load()
		other.Name, other.StatsPort = "stopping", 0
		if len(configdir.Conflicts([]configdir.Spec{spec, other}, nil)) > 0 {
			return k
		}
	}
	return nil
}

func (s *Supervisor) launch(p *pair) {
	ctx, stop := context.WithCancel(context.Background())
	k := &keeper{pair: p, stop: stop}
	spec := p.spec
	k.spec.Store(&spec)
	p.keeper = k
	counters := p.counters
	keep := Keep{
		New:    func() Worker { return s.opt.NewWorker(*k.spec.Load(), counters) },
		Report: func(c Condition) { s.post(func() { s.report(k, c) }) },
		Log:    s.log.With("pair", p.name),
	}
	go func() {
		defer stop()
		keep.Run(ctx)
		s.post(func() { delete(s.stopping, k) })
	}()
}

// report is a keeper's news.
func (s *Supervisor) report(k *keeper, c Condition) {
	p := k.pair
	if p.keeper != k {
		return
	}
	p.unsettled = false
	p.current = c.Restarts
	p.live = nil
	if c.State == Running {
		p.live = &live{Worker: c.Worker}
		p.ran, k.ran = true, true
	} else if p.target != nil {
		// Nothing runs that would have to be spared.
		s.adopt(p, *p.target)
		s.aim(p, nil)
		s.placeStats()
	}
	s.become(p, c.State, c.Reason)
}

// stop stops a pair's worker, without waiting for it.
func (s *Supervisor) stop(p *pair) {
	p.pending, p.live = false, nil
	s.aim(p, nil)
	k := p.keeper
	if k == nil {
		return
	}
	p.keeper = nil
	p.restarts += p.current
	p.current = 0
	if k.ran {
		p.restarts++
	}
	k.stop()
	s.stopping[k] = true
}

// explanation is the row's reason: everything that an operator should know, on
// one line.
func (p *pair) explanation() string {
	var parts []string
	if p.reason != "" {
		parts = append(parts, p.reason)
	}
	switch text := summary(p.refused); {
	case text == "":
	case p.state == Failed:
		parts = append(parts, text)
	default:
		parts = append(parts, fmt.Sprintf("%s (since %s; its last good files run on)",
			text, p.refusedSince.UTC().Format(time.RFC3339)))
	}
	if p.trouble != "" {
		parts = append(parts, fmt.Sprintf("its new configuration can't start: %s (since %s; the old one runs on)",
			p.trouble, p.troubleSince.UTC().Format(time.RFC3339)))
	}
	if p.stats.problem != "" {
		parts = append(parts, p.stats.problem)
	}
	return strings.Join(parts, "; ")
}
