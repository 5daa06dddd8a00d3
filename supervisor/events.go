package supervisor

import (
	"context"
	"maps"
	"slices"
)

// Events is the part of *events.Watcher that the supervisor uses.
type Events interface {
	// Follow sets the namespaces to watch. Namespaces that are not listed are no longer watched.
	Follow(namespaces []string)
	// Run calls changed when something may have changed in a watched namespace, or anywhere (all).
	Run(ctx context.Context, changed func(namespace string, all bool))
}

// follow watches exactly the namespaces that have pairs.
func (s *Supervisor) follow() {
	if s.opt.Events == nil || !s.moving {
		return
	}
	s.moving = false
	now := make(map[string]bool)
	for _, p := range s.pairs {
		if !p.has() {
			continue
		}
		now[p.spec.Namespace], now[p.spec.NetNamespace] = true, true
		if p.target != nil {
			now[p.target.Namespace], now[p.target.NetNamespace] = true, true
		}
	}
	if s.following == nil || !maps.Equal(now, s.following) {
		s.following = now
		s.opt.Events.Follow(slices.Collect(maps.Keys(now)))
	}
}

// checkDependencies makes all workers of a namespace, or all workers, check their dependencies.
func (s *Supervisor) checkDependencies(namespace string, all bool) {
	s.post(func() {
		if s.closing {
			return
		}
		for _, p := range s.pairs {
			if all || p.dependsOn(namespace) {
				s.nudge(p)
			}
		}
	})
}

func (p *pair) dependsOn(namespace string) bool {
	if !p.has() {
		return false
	}
	return p.spec.Namespace == namespace || p.spec.NetNamespace == namespace ||
		p.target != nil && (p.target.Namespace == namespace || p.target.NetNamespace == namespace)
}

// nudge makes the workers of a pair check their dependencies: waiting workers try to start, running workers check that
// all they depend on still exists, and a failed reconfiguration is tried again.
func (s *Supervisor) nudge(p *pair) {
	for _, k := range []*keeper{p.keeper, p.successor} {
		if k == nil {
			continue
		}
		select {
		case k.wake <- struct{}{}:
		default: // it is about to
		}
	}
	if p.live != nil {
		p.live.Check()
	}
	if p.trouble != "" && p.successor == nil {
		s.moveToTarget(p)
	}
}
