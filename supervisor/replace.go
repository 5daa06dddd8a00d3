package supervisor

import (
	"time"

	"joolctl/configdir"
)

// replace has a pair go over to another spec: its worker, if it runs and
// serves the same instance, takes it while it runs; else another worker is
// started when the old one has stopped. It returns false if that was under way
// already.
func (s *Supervisor) replace(p *pair, spec configdir.Spec) bool {
	if p.live == nil || keyOf(p.spec) != keyOf(spec) {
		s.stop(p)
		s.begin(p, spec)
		return true
	}
	if p.target != nil && equal(*p.target, spec) {
		return false
	}
	s.aim(p, &spec)
	p.unsettled = true
	s.reconfigure(p)
	return true
}

// aim sets or forgets what a running worker shall take.
func (s *Supervisor) aim(p *pair, target *configdir.Spec) {
	p.target, p.trouble = target, ""
}

// adopt makes a spec the pair's.
func (s *Supervisor) adopt(p *pair, spec configdir.Spec) {
	p.spec = spec
	if p.keeper != nil {
		p.keeper.spec.Store(&spec)
	}
}

// reconfigure gives a running worker its target, in the background, once at a
// time.
func (s *Supervisor) reconfigure(p *pair) {
	l := p.live
	if l == nil || l.reconfiguring || s.closing {
		return
	}
	l.reconfiguring = true
	spec := *p.target
	go func() {
		err := l.Reconfigure(spec)
		s.post(func() {
			l.reconfiguring = false
			if p.live == l {
				s.reconfigured(p, spec, err)
			}
		})
	}()
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
			s.reconfigure(p)
		} else {
			s.rescan(nil)
		}
	case wanted:
		p.unsettled = false
		if p.trouble == "" {
			p.troubleSince = time.Now()
		}
		if p.trouble != err.Error() {
			p.trouble = err.Error()
			s.log.Error("new configuration can't start; the old one runs on", "pair", p.name, "problem", err)
		}
	case p.target != nil:
		s.reconfigure(p)
	}
}

// wantsRepair is true while something could not be done that repair tries
// again.
func (s *Supervisor) wantsRepair() bool {
	for _, p := range s.pairs {
		if p.trouble != "" || p.stats.port != 0 && p.stats.server == nil {
			return true
		}
	}
	return false
}

func (s *Supervisor) repair() {
	s.openStats()
	for _, p := range s.pairs {
		if p.trouble != "" {
			s.reconfigure(p)
		}
	}
}
