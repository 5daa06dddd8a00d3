package supervisor

import (
	"errors"
	"strings"
	"time"

	"joolctl/configdir"
	"joolctl/eventlog"
	"joolctl/worker"
)

// replace has a pair go over to another spec, and returns false if that was
// under way already. The old worker runs on until the new spec does, wherever
// that can be: for the same instance it takes it while it runs; for another
// one a successor is started beside it. Where that needs the same group's socket
// the old one stops as soon as the new instance is known to be there; at once
// where it needs what some other worker still has.
func (s *Supervisor) replace(p *pair, spec configdir.Spec) bool {
	if p.target != nil && equal(*p.target, spec) {
		return false
	}
	same := keyOf(p.spec) == keyOf(spec)
	if p.live == nil || !same && s.inTheWay(p, spec) != nil {
		s.stop(p)
		s.begin(p, spec)
		return true
	}
	s.aim(p, &spec)
	p.unsettled = true
	if same || s.inEachOthersWay(p, spec) {
		s.pursue(p)
	} else {
		p.successor = s.launch(p, spec)
	}
	return true
}

// pursue tries to reach the target from the worker that runs, unless a successor
// does.
func (s *Supervisor) pursue(p *pair) {
	switch {
	case p.successor != nil:
	case keyOf(p.spec) == keyOf(*p.target):
		s.reconfigure(p)
	default:
		s.probe(p)
	}
}

// inEachOthersWay is true if a worker for the spec can't run beside the pair's.
func (s *Supervisor) inEachOthersWay(p *pair, spec configdir.Spec) bool {
	return collide(p.spec, spec) || s.sharesSocket(p, spec)
}

// probe looks whether the target's instance is there, and only then stops the worker
// that runs.
func (s *Supervisor) probe(p *pair) {
	s.attempt(p, func(_ *live, spec configdir.Spec) error { return s.opt.Probe(spec) }, s.probed)
}

func (s *Supervisor) probed(p *pair, spec configdir.Spec, err error) {
	switch {
	case p.target == nil:
	case !equal(*p.target, spec):
		s.pursue(p)
	case err != nil:
		p.unsettled = false
		s.suffer(p, err.Error())
	default:
		spec.Name = p.name
		s.stop(p)
		s.begin(p, spec)
		s.placeStats()
	}
}

// attempt tries something for the target of a running worker, in the background, once
// at a time, and hands over what came of it if that worker still runs.
func (s *Supervisor) attempt(p *pair, try func(*live, configdir.Spec) error, tried func(*pair, configdir.Spec, error)) {
	l := p.live
	if l == nil || l.reconfiguring || s.closing {
		return
	}
	l.reconfiguring = true
	spec := *p.target
	safely := func() (err error) {
		defer recovered(&err)
		return try(l, spec)
	}
	go func() {
		err := safely()
		s.post(func() {
			l.reconfiguring = false
			if p.live == l {
				tried(p, spec, err)
			}
		})
	}()
}

// sharesSocket is true if a spec binds what the pair's worker has bound.
func (s *Supervisor) sharesSocket(p *pair, spec configdir.Spec) bool {
	return p.spec.NetNamespace == spec.NetNamespace && p.spec.Group == spec.Group && p.spec.Port == spec.Port
}

// reportSuccessor is news of the worker that shall take over.
func (s *Supervisor) reportSuccessor(p *pair, c Condition) {
	p.unsettled = false
	if c.State != Running {
		s.suffer(p, c.Reason)
		return
	}
	s.takeOver(p, c.Restarts)
	p.live = &live{Worker: c.Worker}
	p.live.Rename(p.name)
	p.keeper.ran = true
	s.log.Info("worker for another instance took over", "pair", p.name, "module", p.live.ModuleVersion())
}

// takeOver makes the successor the pair's worker.
func (s *Supervisor) takeOver(p *pair, restarts int) {
	k := p.successor
	p.successor = nil
	s.stop(p)
	k.restarts = restarts
	p.keeper = k
	p.spec, s.moving = *k.spec.Load(), true
	s.placeStats()
}

// aim sets or forgets what a running worker shall take.
func (s *Supervisor) aim(p *pair, target *configdir.Spec) {
	if p.successor != nil {
		s.end(p.successor)
		p.successor = nil
	}
	p.target, p.trouble, p.blockedBy = target, "", ""
	s.moving = true
}

// suffer notes why the target can't be had.
func (s *Supervisor) suffer(p *pair, trouble string) {
	trouble, stack, panicked := strings.Cut(trouble, "\n")
	if panicked {
		s.log.Error("trying the new configuration", "pair", p.name, "error", trouble, "stack", stack)
	}
	if p.trouble == "" {
		p.troubleSince = time.Now()
	}
	if p.trouble != trouble {
		p.trouble = trouble
		s.log.Error("new configuration can't start; the old one runs on", "pair", p.name, "error", trouble)
		s.fileEvent(p.name, eventlog.Error, "the new configuration can't start; the old one runs on: "+trouble)
	}
}

// adopt makes a spec the pair's.
func (s *Supervisor) adopt(p *pair, spec configdir.Spec) {
	if p.spec != spec {
		p.spec, s.moving = spec, true
	}
	if p.keeper != nil {
		p.keeper.spec.Store(&spec)
	}
	if p.live != nil {
		p.live.Rename(spec.Name)
	}
}

// reconfigure gives a running worker its target.
func (s *Supervisor) reconfigure(p *pair) {
	s.attempt(p, func(l *live, spec configdir.Spec) error { return l.Reconfigure(spec) }, s.reconfigured)
}

func (s *Supervisor) reconfigured(p *pair, spec configdir.Spec, err error) {
	wanted := p.target != nil && equal(*p.target, spec)
	switch {
	case err == nil && wanted:
		spec.Name = p.name
		s.adopt(p, spec)
		s.aim(p, nil)
		p.unsettled = false
		s.log.Info("worker took its new configuration", "pair", p.name)
		s.placeStats()
	case err == nil:
		// The files have changed meanwhile, perhaps back to what they were.
		spec.Name = p.name
		s.adopt(p, spec)
		if p.target != nil {
			s.pursue(p)
		} else {
			s.rescan(nil)
		}
	case wanted && s.deadlocked(p, err):
		// One of the two has to let go first.
		spec.Name = p.name
		s.stop(p)
		s.begin(p, spec)
		s.placeStats()
	case wanted:
		p.unsettled = false
		s.suffer(p, err.Error())
	case p.target != nil:
		s.pursue(p)
	}
}

// deadlocked notes which pair has what a pair's target needs, and reports whether that pair's target needs what this one has:
// two pairs trade their interfaces.
func (s *Supervisor) deadlocked(p *pair, err error) bool {
	var missing *worker.Missing
	p.blockedBy = ""
	if errors.As(err, &missing) {
		p.blockedBy = missing.By
	}
	other := s.pairs[p.blockedBy]
	return other != nil && other.target != nil && other.blockedBy == p.name
}

// wantsRepair is true while something could not be done that repair tries
// again.
func (s *Supervisor) wantsRepair() bool {
	for _, p := range s.pairs {
		if p.trouble != "" && p.successor == nil || p.stats.port != 0 && p.stats.server == nil {
			return true
		}
	}
	return false
}

func (s *Supervisor) repair() {
	s.openStats()
	for _, p := range s.pairs {
		if p.trouble != "" {
			s.pursue(p)
		}
	}
}
