package supervisor

import (
	"errors"
	"strings"
	"time"

	"joolctl/configdir"
	"joolctl/eventlog"
	"joolctl/worker"
)

// replace changes a pair's worker to another spec. It returns false if that change was under way already.
//
// Where possible, the old worker runs until the new spec works. For the same instance, the running worker is
// reconfigured. For another instance, a successor starts beside the old worker. If both need the same group's socket,
// the old worker stops as soon as a probe has found the new instance. If the spec needs something that a third worker
// occupies, the old worker stops at once.
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
	s.setTarget(p, &spec)
	p.unsettled = true
	if same || conflict(p.spec, spec) || sharesSocket(p.spec, spec) {
		s.moveToTarget(p)
	} else {
		p.successor = s.launch(p, spec)
	}
	return true
}

// moveToTarget tries to change the running worker to the target. It does nothing while a successor exists.
func (s *Supervisor) moveToTarget(p *pair) {
	switch {
	case p.successor != nil:
	case keyOf(p.spec) == keyOf(*p.target):
		s.attempt(p, (*live).Reconfigure, s.reconfigured)
	default: // the target's instance must exist before the running worker is stopped
		s.attempt(p, func(_ *live, spec configdir.Spec) error { return s.opt.Probe(spec) }, s.probed)
	}
}

func (s *Supervisor) probed(p *pair, spec configdir.Spec, err error) {
	switch {
	case p.target == nil:
	case !equal(*p.target, spec):
		s.moveToTarget(p)
	case err != nil:
		p.unsettled = false
		s.failTarget(p, err.Error())
	default:
		spec.Name = p.name
		s.stop(p)
		s.begin(p, spec)
		s.placeStats()
	}
}

// attempt calls try with the running worker and its target on another goroutine, one call at a time. It passes the
// result to tried if that worker still runs.
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

// sharesSocket reports whether the workers of two specs bind the same address.
func sharesSocket(a, b configdir.Spec) bool {
	return a.NetNamespace == b.NetNamespace && a.Group == b.Group && a.Port == b.Port
}

// reportSuccessor handles a change that the successor's keeper reports.
func (s *Supervisor) reportSuccessor(p *pair, c Condition) {
	p.unsettled = false
	if c.State != Running {
		s.failTarget(p, c.Reason)
		return
	}
	s.takeOver(p, c.Restarts)
	p.live = &live{Worker: c.Worker}
	p.live.Rename(p.name)
	p.keeper.ran = true
	s.log.Info("worker for another instance took over", "pair", p.name, "module", p.live.ModuleVersion())
}

// takeOver makes the successor the pair's keeper.
func (s *Supervisor) takeOver(p *pair, restarts int) {
	k := p.successor
	p.successor = nil
	s.stop(p)
	k.restarts = restarts
	p.keeper = k
	p.spec, s.moving = *k.spec.Load(), true
	s.placeStats()
}

// setTarget sets the target of a running worker; nil removes it.
func (s *Supervisor) setTarget(p *pair, target *configdir.Spec) {
	if p.successor != nil {
		s.end(p.successor)
		p.successor = nil
	}
	p.target, p.trouble, p.blockedBy = target, "", ""
	s.moving = true
}

// failTarget records why the target can't be reached.
func (s *Supervisor) failTarget(p *pair, trouble string) {
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

// adopt makes a spec the pair's configuration.
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

func (s *Supervisor) reconfigured(p *pair, spec configdir.Spec, err error) {
	wanted := p.target != nil && equal(*p.target, spec)
	switch {
	case err == nil && wanted:
		spec.Name = p.name
		s.adopt(p, spec)
		s.setTarget(p, nil)
		p.unsettled = false
		s.log.Info("worker took its new configuration", "pair", p.name)
		s.placeStats()
	case err == nil:
		// The files have changed since the attempt began, perhaps back to their earlier content.
		spec.Name = p.name
		s.adopt(p, spec)
		if p.target != nil {
			s.moveToTarget(p)
		} else {
			s.rescan(nil)
		}
	case wanted && s.deadlocked(p, err):
		// One of the two workers has to stop first.
		spec.Name = p.name
		s.stop(p)
		s.begin(p, spec)
		s.placeStats()
	case wanted:
		p.unsettled = false
		s.failTarget(p, err.Error())
	case p.target != nil:
		s.moveToTarget(p)
	}
}

// deadlocked records which pair occupies something that the target needs. It reports whether that pair's target needs
// something that this pair occupies: for example, two pairs that swap their interfaces.
func (s *Supervisor) deadlocked(p *pair, err error) bool {
	var missing *worker.Missing
	p.blockedBy = ""
	if errors.As(err, &missing) {
		p.blockedBy = missing.By
	}
	other := s.pairs[p.blockedBy]
	return other != nil && other.target != nil && other.blockedBy == p.name
}

// wantsRepair reports whether repair has something to try again.
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
			s.moveToTarget(p)
		}
	}
}
