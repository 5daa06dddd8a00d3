package supervisor

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"joolctl/configdir"
	"joolctl/worker"
)

// pair is the row of one pair of the directory. Only the supervisor's goroutine uses it, except for the counters.
type pair struct {
	name     string
	counters *worker.Counters
	meter    meter
	watched  lookout
	// spec is the configuration that the worker runs with or will start with. It is meaningless while the pair is
	// failed.
	spec configdir.Spec
	// keeper keeps the pair's worker running. It is nil while the pair is failed, and while it is pending: another
	// worker has to stop first.
	keeper  *keeper
	pending bool
	// successor runs the target, another instance, beside keeper until it is ready to take over.
	successor *keeper
	// unsettled is true until the worker has reached its first state.
	unsettled bool
	// live is the running worker; nil: none runs.
	live *live
	// pulse finds out whether the worker's loop makes progress. stuck says why it does not; "": it does.
	pulse Pulse
	stuck string
	// ran is true once the pair's worker was running.
	ran bool

	state  State
	reason string
	since  time.Time
	// restarts counts the restarts of earlier keepers, current those of the present keeper.
	restarts, current int

	// refused says why the newest files are not in use, and refusedSince since when.
	refused      []string
	refusedSince time.Time

	// target is the configuration in the pair's files, if the running worker still has an older one. trouble says why
	// the worker has not changed to it, and troubleSince since when.
	target       *configdir.Spec
	trouble      string
	troubleSince time.Time
	// blockedBy is the pair that occupies something that the target needs; "": none.
	blockedBy string

	stats statsSocket
}

// keeper runs a Keep and can stop it.
type keeper struct {
	pair *pair
	// Only the name in spec changes.
	spec atomic.Pointer[configdir.Spec]
	stop context.CancelFunc
	wake chan struct{}
	ran  bool
	// restarts counts the restarts before this keeper took over.
	restarts int
	// worker is the newest worker that the keeper made.
	worker atomic.Pointer[Worker]
	// ending is how long ago the worker was asked to stop. told is true once the log says that the worker is blocked
	// inside the kernel.
	ending time.Duration
	logged bool
}

// has reports whether the pair has a worker, or will get one.
func (p *pair) has() bool { return p.keeper != nil || p.pending }

// starting is the reason of a pair whose worker has not reached a state yet.
const starting = "starting"

// setState changes the state of a pair. since changes only with the state.
func (s *Supervisor) setState(p *pair, state State, reason string) {
	if p.state == state && p.reason == reason {
		return
	}
	s.stateEvent(p, state, reason)
	if p.state != state {
		if !foreseen(p.state, state) {
			s.log.Error("a state that should not follow; please report this", "pair", p.name, "from", p.state, "to", state)
		}
		if s.moved != nil {
			s.moved(p.state, state)
		}
		p.since = time.Now()
	}
	p.state, p.reason = state, reason
	switch state {
	case Running:
		s.startedOne()
		s.log.Info("worker is running", "pair", p.name, "module", p.live.ModuleVersion())
	case Waiting:
		if reason == starting {
			return
		}
		if p.pending {
			s.log.Info("worker is about to start", "pair", p.name, "reason", reason)
			return
		}
		s.log.Warn("worker is waiting", "pair", p.name, "error", reason)
	case Backoff:
		s.log.Error("worker has failed", "pair", p.name, "error", reason)
	}
}

// begin starts the worker of a pair as soon as no other worker is in its way.
func (s *Supervisor) begin(p *pair, spec configdir.Spec) {
	p.spec, p.pending, p.unsettled = spec, true, true
	s.moving = true
}

// startPending starts the pending workers that no other worker blocks any longer.
func (s *Supervisor) startPending() {
	if s.closing {
		return
	}
	for _, p := range s.pairs {
		if !p.pending {
			continue
		}
		if k := s.inTheWay(p, p.spec); k != nil {
			s.setState(p, Waiting, fmt.Sprintf("starts when the worker before it, of pair %q, has stopped", k.spec.Load().Name))
			continue
		}
		p.pending = false
		s.setState(p, Waiting, starting)
		p.keeper = s.launch(p, p.spec)
	}
}

// inTheWay returns a worker, of another pair or stopping, that occupies something that a spec of p needs; nil: there is
// none.
func (s *Supervisor) inTheWay(p *pair, spec configdir.Spec) *keeper {
	for k := range s.stopping {
		if conflict(spec, *k.spec.Load()) {
			return k
		}
	}
	for _, other := range s.pairs {
		for _, k := range []*keeper{other.keeper, other.successor} {
			if other != p && k != nil && conflict(spec, *k.spec.Load()) {
				return k
			}
		}
	}
	return nil
}

// conflict reports whether two workers can't run at the same time.
func conflict(a, b configdir.Spec) bool {
	// A cheap check for most cases: hundreds of pairs are compared with each other.
	if (a.Instance != b.Instance || apart(a.Namespace, b.Namespace)) &&
		(a.Group != b.Group || a.Port != b.Port || apart(a.NetNamespace, b.NetNamespace)) {
		return false
	}
	a.Name, b.Name = "a", "b"
	a.StatsPort, b.StatsPort = 0, 0
	return len(configdir.Conflicts([]configdir.Spec{a, b}, nil)) > 0
}

// apart reports whether two names certainly denote different namespaces.
func apart(a, b string) bool {
	return a != b && !strings.Contains(a, "/") && !strings.Contains(b, "/")
}

// launch starts a keeper that keeps a worker with the spec running.
func (s *Supervisor) launch(p *pair, spec configdir.Spec) *keeper {
	ctx, stop := context.WithCancel(context.Background())
	k := &keeper{pair: p, stop: stop, wake: make(chan struct{}, 1)}
	k.spec.Store(&spec)
	counters := p.counters
	keep := Keep{
		New: func() Worker {
			w := s.opt.NewWorker(*k.spec.Load(), counters)
			k.worker.Store(&w)
			return w
		},
		Report: func(c Condition) { s.post(func() { s.report(k, c) }) },
		Wake:   k.wake,
		Log:    s.log.With("pair", p.name),
	}
	go func() {
		defer stop()
		keep.Run(ctx)
		s.post(func() { delete(s.stopping, k) })
	}()
	return k
}

// report handles a change that a keeper reports.
func (s *Supervisor) report(k *keeper, c Condition) {
	p := k.pair
	if p.successor == k {
		s.reportSuccessor(p, c)
		return
	}
	if p.keeper != k {
		return
	}
	p.unsettled = false
	p.current = c.Restarts - k.restarts
	p.live = nil
	if c.State == Running {
		p.live = &live{Worker: c.Worker}
		p.live.Rename(p.name) // it may have started under the old name
		p.ran, k.ran = true, true
	} else if p.successor != nil {
		// No running worker needs to be kept.
		reason := p.trouble
		s.takeOver(p, 0)
		s.setState(p, Waiting, cmp.Or(reason, starting))
		return
	} else if p.target != nil {
		s.adopt(p, *p.target)
		s.setTarget(p, nil)
		s.placeStats()
	}
	s.setState(p, c.State, c.Reason)
}

// stop stops the worker of a pair and does not wait for it.
func (s *Supervisor) stop(p *pair) {
	s.moving = true
	p.pending, p.live = false, nil
	s.setTarget(p, nil)
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
	s.end(k)
}

// end stops a worker that no longer belongs to a pair.
func (s *Supervisor) end(k *keeper) {
	k.stop()
	s.stopping[k] = true
}

// explanation returns the reason in the pair's row: all that an operator should know, on one line.
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
	if p.stuck != "" {
		parts = append(parts, p.stuck)
	}
	if p.live != nil {
		if trouble := p.live.Sync().Trouble; trouble != "" {
			parts = append(parts, trouble)
		}
	}
	return strings.Join(parts, "; ")
}
