package supervisor

import (
	"fmt"
	"maps"
	"slices"

	"joolctl/configdir"
)

// held is a pair that has a worker, whatever the worker's state.
type held struct {
	// spec is what the worker runs with, or tries to.
	spec configdir.Spec
	// ran is true once it was running.
	ran bool
}

// verb is what an action does to a pair's worker.
type verb string

const (
	// keep leaves it alone.
	keep verb = "keep"
	// start makes one for a pair that has none.
	start verb = "start"
	// replace changes its configuration.
	replace verb = "replace"
	// fail is for a pair that can't have one: it has a row all the same.
	fail verb = "fail"
	// stop takes it and the pair's row away.
	stop verb = "stop"
)

// action is what becomes of one pair.
type action struct {
	verb verb
	// name is the pair's.
	name string
	// from is the pair whose row and worker it takes over: its own name,
	// another if it was renamed, none if it has neither (start, fail).
	from string
	// spec is what it runs with from now on; as before, but for the name, if
	// kept.
	spec configdir.Spec
	// refused says why its newest files are not what runs.
	refused []string
}

// change returns what the action changes for the operator; ok is false if nothing.
func (a *action) change() (c Change, ok bool) {
	c = Change{Name: a.name}
	if a.from != a.name && a.verb != stop {
		c.From = a.from
	}
	switch {
	case a.verb == stop:
		c.What = "stopped"
	case a.verb == start:
		c.What = "started"
	case a.verb == replace:
		c.What = "changed"
	case a.verb == keep && c.From != "":
		c.What = "renamed"
	}
	return c, c.What != ""
}

// plan turns what the directory holds and what runs into actions: one for
// each pair that is there, in its order, then one for each that is gone.
//
// Stopping comes before starting, and taking over happens to all at once (two
// pairs may take each other's place). A pair with fail whose worker never ran
// loses it.
func plan(pairs []configdir.Pair, running map[string]held) []action {
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

// refusals says, by name, why the files of some pairs are not to be used.
func refusals(pairs []configdir.Pair, running map[string]held) map[string][]string {
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

// key is what a worker is known by.
type key struct{ namespace, instance string }

func keyOf(s configdir.Spec) key { return key{s.Namespace, s.Instance} }

type planner struct {
	running map[string]held
	// desired has the pairs whose files are to be used.
	desired map[string]configdir.Spec
	// stays has the pairs that keep what they have, though their files are
	// refused.
	stays map[string]bool
	// byKey has who runs an instance.
	byKey map[key]string
	// heir has who takes over the worker of a pair, just as it is.
	heir map[string]string
}

func newPlanner(pairs []configdir.Pair, running map[string]held, refused map[string][]string) *planner {
	p := &planner{
		running: running,
		desired: make(map[string]configdir.Spec),
		stays:   make(map[string]bool),
		byKey:   make(map[key]string),
		heir:    make(map[string]string),
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
			p.heir[other] = name
		}
	}
	return p
}

// leaver is who has the instance that a pair asks for and gives it up.
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
	if changesHands && p.heir[other] == name {
		return action{verb: keep, name: name, from: other, spec: spec}
	}
	if own, ok := p.running[name]; ok && p.heir[name] == "" {
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

// equal is true if two specs ask for the same under whatever name.
func equal(a, b configdir.Spec) bool {
	a.Name, b.Name = "", ""
	return a == b
}

// summary is a refusal on one line.
func summary(refused []string) string {
	switch len(refused) {
	case 0:
		return ""
	case 1:
		return refused[0]
	}
	return fmt.Sprintf("%s (and %d more: joolctl check)", refused[0], len(refused)-1)
}
