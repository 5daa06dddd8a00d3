package supervisor

import (
	"fmt"
	"slices"
	"testing"

	"joolctl/configdir"
)

// TestPlanEvery computes the plan for every combination of a few pairs. In the directory, each pair is absent, broken,
// or asks for one of some instances in one of two ways. Before, each pair has no worker, or a worker that runs, or one
// that waits, for one of the instances.
func TestPlanEvery(t *testing.T) {
	for _, c := range []struct{ names, instances []string }{
		{[]string{"a", "b"}, []string{"i1", "i2", "i3"}},
		{[]string{"a", "b", "c"}, []string{"i1", "i2"}},
	} {
		plans := 0
		everyRunning(c.names, c.instances, map[string]current{}, func(running map[string]current) {
			everyDirectory(c.names, c.instances, nil, func(pairs []configdir.Pair) {
				plans++
				if t.Failed() {
					return // one error is enough
				}
				got := plan(pairs, running)
				if wrong := planIsWrong(pairs, running, got); wrong != "" {
					t.Errorf("%s\nrunning %+v\npairs %+v\nplan %+v", wrong, running, pairs, got)
				}
			})
		})
		t.Logf("%d plans", plans)
	}
}

func everyRunning(names, instances []string, so map[string]current, fn func(map[string]current)) {
	if len(names) == 0 {
		fn(so)
		return
	}
	name, rest := names[0], names[1:]
	everyRunning(rest, instances, so, fn)
	for _, instance := range instances {
		taken := false // no two workers have the same instance
		for _, h := range so {
			taken = taken || h.spec.Instance == instance
		}
		if taken {
			continue
		}
		for _, ran := range []bool{true, false} {
			so[name] = current{spec(name, instance, 1), ran}
			everyRunning(rest, instances, so, fn)
			delete(so, name)
		}
	}
}

func everyDirectory(names, instances []string, so []configdir.Pair, fn func([]configdir.Pair)) {
	if len(names) == 0 {
		fn(so)
		return
	}
	name, rest := names[0], names[1:]
	options := []configdir.Pair{broken(name)}
	for _, instance := range instances {
		options = append(options, good(name, instance, 1), good(name, instance, 2))
	}
	everyDirectory(rest, instances, so, fn)
	for _, pair := range options {
		everyDirectory(rest, instances, append(slices.Clip(so), pair), fn)
	}
}

// planIsWrong returns the rule that a plan breaks; "": none.
func planIsWrong(pairs []configdir.Pair, running map[string]current, got []action) string {
	if len(got) < len(pairs) {
		return "a pair has no action"
	}
	from := make(map[string]string)  // which pair takes over a pair's worker
	wanted := make(map[string]int)   // how many pairs ask for an instance
	there := make(map[string]action) // the actions by pair
	for _, pair := range pairs {
		if pair.OK() {
			wanted[pair.Spec.Instance]++
		}
	}
	for i, a := range got {
		if a.from != "" {
			if other, ok := from[a.from]; ok {
				return fmt.Sprintf("%s and %s take over %s's worker", other, a.name, a.from)
			}
			if _, ok := running[a.from]; !ok {
				return fmt.Sprintf("%s takes over a worker that %s has not", a.name, a.from)
			}
			from[a.from] = a.name
		}
		if i >= len(pairs) {
			if a.verb != stop || a.from != a.name {
				return a.name + " is gone, and not stopped"
			}
			continue
		}
		if a.name != pairs[i].Name || a.verb == stop {
			return fmt.Sprintf("action %d is not pair %s's", i, pairs[i].Name)
		}
		there[a.name] = a
		if (a.verb == start || a.verb == fail) != (a.from == "") {
			return fmt.Sprintf("%s: %s from %q", a.name, a.verb, a.from)
		}
	}
	for name := range running {
		if _, ok := there[name]; !ok && from[name] == "" {
			return name + "'s worker is forgotten"
		}
	}
	if problem := sharedInstance(there); problem != "" {
		return problem
	}
	for _, pair := range pairs {
		if problem := pairIsWrong(pair, there[pair.Name], pairs, running, wanted); problem != "" {
			return problem
		}
		// A file under another name denotes the same pair.
		for other, h := range running {
			_, stays := there[other]
			_, runs := running[pair.Name]
			a := there[pair.Name]
			if !stays && pair.OK() && !runs && equal(h.spec, pair.Spec) && wanted[pair.Spec.Instance] == 1 && (a.verb != keep || a.from != other) {
				return fmt.Sprintf("%s was renamed to %s, and is changed", other, pair.Name)
			}
		}
	}
	return ""
}

// sharedInstance names two pairs that have one instance after the plan; "": there are none.
func sharedInstance(there map[string]action) string {
	holds := make(map[string]string)
	for name, a := range there {
		if a.verb == fail {
			continue
		}
		if other, ok := holds[a.spec.Instance]; ok {
			return fmt.Sprintf("%s and %s both have instance %s", other, name, a.spec.Instance)
		}
		holds[a.spec.Instance] = name
	}
	return ""
}

// pairIsWrong returns the rule that a pair's action breaks; "": none.
func pairIsWrong(pair configdir.Pair, a action, pairs []configdir.Pair, running map[string]current, wanted map[string]int) string {
	before, runs := running[pair.Name]
	switch {
	case pair.OK() && runs && equal(before.spec, pair.Spec) && (a.verb != keep || a.from != pair.Name || len(a.refused) > 0):
		return pair.Name + " did not change, and is changed"
	case !pair.OK() && len(a.refused) == 0:
		return pair.Name + " is broken, and nobody is told"
	case !pair.OK() && runs && before.ran && (a.verb != keep || a.from != pair.Name || a.spec != before.spec):
		return pair.Name + " is broken, and does not keep what runs"
	case !pair.OK() && !(runs && before.ran) && a.verb != fail:
		return pair.Name + " is broken, and has a worker"
	case len(a.refused) == 0 && a.spec != pair.Spec:
		return pair.Name + " does not get what it asks for"
	case len(a.refused) > 0 && runs && before.ran && (a.verb != keep || a.spec != before.spec):
		return pair.Name + " is refused, and does not keep what runs"
	case len(a.refused) > 0 && a.verb != keep && a.verb != fail:
		return pair.Name + " is refused, and gets another worker"
	case pair.OK() && len(a.refused) > 0 && wanted[pair.Spec.Instance] < 2 && !keptByRefused(pair, pairs, running):
		return pair.Name + " is refused, and nobody else has its instance"
	case a.verb == keep && !equal(a.spec, running[a.from].spec):
		return pair.Name + " keeps a worker that does something else"
	}
	return ""
}

// keptByRefused reports whether another pair may keep the instance that a pair asks for, because the files of that other
// pair are refused.
func keptByRefused(pair configdir.Pair, pairs []configdir.Pair, running map[string]current) bool {
	return slices.ContainsFunc(pairs, func(other configdir.Pair) bool {
		h, runs := running[other.Name]
		return other.Name != pair.Name && runs && h.spec.Instance == pair.Spec.Instance
	})
}
