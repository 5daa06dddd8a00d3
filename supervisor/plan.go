package supervisor

import (
	"fmt"
	"maps"
	"slices"

	"joolctl/configdir"
)

// current describes a pair that has a worker, in any state.
type current struct {
	// spec is the configuration that the worker runs with or tries to start with.
	spec configdir.Spec
	// ran is true once the worker was running.
	ran bool
}

// verb says how an action changes a pair's worker.
type verb string

const (
	// keep does not change the worker.
	keep verb = "keep"
	// start makes a worker for a pair that has none.
	start verb = "start"
	// replace changes the worker's configuration.
	replace verb = "replace"
	// fail is for a pair that can't have a worker. The pair still has a row.
	fail verb = "fail"
	// stop removes the worker and the row of the pair.
	stop verb = "stop"
)

// action is the next step for one pair.
type action struct {
	verb verb
	// name is the name of the pair.
	name string
	// from is the pair whose row and worker the pair takes over: the pair itself, another pair if this one is that pair
	// under a new name, or "" if it has no row and no worker yet (start, fail).
	from string
	// spec is the pair's configuration after the action. With keep, only the name may change.
	spec configdir.Spec
	// refused says why the pair's newest files are not used.
	refused []string
}

// change returns the action's effect for the operator; ok is false if there is none.
func (a *action) change() (c Change, ok bool) {
	c = Change{Name: a.name}
	if a.from != a.name && a.verb != stop {
		c.From = a.from
	}
	switch {
	case a.verb == stop:
		c.Action = "stopped"
	case a.verb == start:
		c.Action = "started"
	case a.verb == replace:
		c.Action = "changed"
	case a.verb == keep && c.From != "":
		c.Action = "renamed"
	}
	return c, c.Action != ""
}

// plan compares the directory's content with the running workers. It returns one action for each pair of the directory,
// in the directory's order, then one for each pair that was removed.
//
// The caller stops workers before it starts others, and does all takeovers at the same time, because two pairs may swap
// their workers. A pair with the action fail whose worker was never running loses its worker.
func plan(pairs []configdir.Pair, running map[string]current) []action {
	refused := refusals(pairs, running)
	p := newPlanner(pairs, running, refused)
	var actions []action
	there := make(map[string]bool)
	for _, pair := range pairs {
		a := p.action(pair)
		a.refused = refused[pair.Name]
		actions = append(actions, a)
		there[pair.Name], there[a.from] = true, true
	}
	names := slices.SortedFunc(maps.Keys(running), configdir.NaturalCompare)
	for _, name := range names {
		if !there[name] {
			actions = append(actions, action{verb: stop, name: name, from: name, spec: running[name].spec})
		}
	}
	return actions
}

// refusals returns the reasons why the files of some pairs must not be used, by the pair's name.
func refusals(pairs []configdir.Pair, running map[string]current) map[string][]string {
	refused := make(map[string][]string)
	specs := make(map[string]configdir.Spec)
	var desired []configdir.Spec
	for name, h := range running {
		specs[name] = h.spec
	}
	for _, pair := range pairs {
		if pair.OK() {
			desired = append(desired, pair.Spec)
			continue
		}
		for _, problem := range pair.Problems {
			if !problem.Warning {
				refused[pair.Name] = append(refused[pair.Name], problem.Error())
			}
		}
		if h, ok := running[pair.Name]; ok && h.ran {
			desired = append(desired, h.spec)
		} else {
			delete(specs, pair.Name)
		}
	}
	conflicts := configdir.Conflicts(desired, specs)
	for _, pair := range pairs {
		if !pair.OK() {
			continue
		}
		for _, conflict := range conflicts[pair.Name] {
			refused[pair.Name] = append(refused[pair.Name], pair.Place(conflict).Error())
		}
	}
	return refused
}

// key identifies a worker.
type key struct{ namespace, instance string }

func keyOf(s configdir.Spec) key { return key{s.Namespace, s.Instance} }

type planner struct {
	running map[string]current
	// desired maps the pairs whose files are used to their specs.
	desired map[string]configdir.Spec
	// stays contains the pairs that keep their worker although their files are refused.
	stays map[string]bool
	// byKey maps an instance to the pair that runs it.
	byKey map[key]string
	// renamedTo maps a pair to the pair that takes over its worker without a change.
	renamedTo map[string]string
}

func newPlanner(pairs []configdir.Pair, running map[string]current, refused map[string][]string) *planner {
	p := &planner{
		running:   running,
		desired:   make(map[string]configdir.Spec),
		stays:     make(map[string]bool),
		byKey:     make(map[key]string),
		renamedTo: make(map[string]string),
	}
	for name, h := range running {
		p.byKey[keyOf(h.spec)] = name
	}
	for _, pair := range pairs {
		h, runs := running[pair.Name]
		if refused[pair.Name] == nil {
			p.desired[pair.Name] = pair.Spec
		} else if runs && (h.ran || pair.OK()) {
			p.stays[pair.Name] = true
		}
	}
	for name, spec := range p.desired {
		if other, ok := p.leaver(name, spec); ok && equal(running[other].spec, spec) {
			p.renamedTo[other] = name
		}
	}
	return p
}

// leaver returns the pair that runs the instance that another pair asks for, if the running pair gives up that instance.
func (p *planner) leaver(name string, spec configdir.Spec) (other string, ok bool) {
	other, ok = p.byKey[keyOf(spec)]
	if !ok || other == name || p.stays[other] {
		return "", false
	}
	wants, there := p.desired[other]
	return other, !there || keyOf(wants) != keyOf(spec)
}

func (p *planner) action(pair configdir.Pair) action {
	name, spec := pair.Name, pair.Spec
	if p.stays[name] {
		return action{verb: keep, name: name, from: name, spec: p.running[name].spec}
	}
	if _, ok := p.desired[name]; !ok {
		return action{verb: fail, name: name}
	}
	other, changesHands := p.leaver(name, spec)
	if changesHands && p.renamedTo[other] == name {
		return action{verb: keep, name: name, from: other, spec: spec}
	}
	if own, ok := p.running[name]; ok && p.renamedTo[name] == "" {
		if equal(own.spec, spec) {
			return action{verb: keep, name: name, from: name, spec: spec}
		}
		return action{verb: replace, name: name, from: name, spec: spec}
	}
	if _, there := p.desired[other]; changesHands && !there {
		return action{verb: replace, name: name, from: other, spec: spec}
	}
	return action{verb: start, name: name, spec: spec}
}

// equal reports whether two specs are equal apart from the name.
func equal(a, b configdir.Spec) bool {
	a.Name, b.Name = "", ""
	return a == b
}

// summary returns a refusal as one line.
func summary(refused []string) string {
	switch len(refused) {
	case 0:
		return ""
	case 1:
		return refused[0]
	}
	return fmt.Sprintf("%s (and %d more: joolctl check)", refused[0], len(refused)-1)
}
