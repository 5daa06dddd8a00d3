package configdir

// contender is a desired spec, together with the spec that its pair already runs with.
type contender struct {
	spec  Spec
	wants claim
	// current is the spec that the pair runs with, under this name or its former one; nil if the pair does not run.
	current *Spec
	holds   claim
	renamed bool
}

type contenders []contender

func newContenders(desired []Spec, running map[string]Spec) contenders {
	wanted := make(map[string]bool)
	for _, spec := range desired {
		wanted[spec.Name] = true
	}
	// A pair that runs under a name that is no longer desired may have been renamed.
	orphans := make(map[instanceClaim]Spec)
	for name, spec := range running {
		if !wanted[name] {
			orphans[claimOf(spec).instance] = spec
		}
	}
	var all contenders
	for _, spec := range desired {
		c := contender{spec: spec, wants: claimOf(spec)}
		held, ok := running[spec.Name]
		if !ok {
			held, ok = orphans[c.wants.instance]
			c.renamed = ok
		}
		if ok {
			held.Name = spec.Name
			c.current, c.holds = &held, claimOf(held)
		}
		all = append(all, c)
	}
	return all
}

// round compares every two contenders and returns the conflicts of the refused ones, by pair name.
func (all contenders) round() map[string][]Conflict {
	found := make(map[string][]Conflict)
	for i := range all {
		for j := i + 1; j < len(all); j++ {
			a, b := &all[i], &all[j]
			for r := range rules {
				aYields, bYields := rules[r].judge(a, b)
				if aYields {
					found[a.spec.Name] = append(found[a.spec.Name], rules[r].conflict(a, b))
				}
				if bYields {
					found[b.spec.Name] = append(found[b.spec.Name], rules[r].conflict(b, a))
				}
			}
		}
	}
	return found
}

// judge reports which of two contenders must be refused under a rule.
func (r *rule) judge(a, b *contender) (aYields, bYields bool) {
	if !r.bothUse(&a.wants, &b.wants) {
		return false, false
	}
	aHolds := a.current != nil && r.bothUse(&a.holds, &b.wants)
	bHolds := b.current != nil && r.bothUse(&a.wants, &b.holds)
	if aHolds != bHolds {
		return bHolds, aHolds
	}
	if aHolds && !a.renamed && !b.renamed && r.bothUse(&a.holds, &b.holds) {
		return false, false // both already run with these resources
	}
	return true, true
}

func (r *rule) conflict(loser, winner *contender) Conflict {
	return Conflict{
		Key: r.key(loser.spec), Other: winner.spec.Name,
		Message: r.message(loser.spec, quote(winner.spec.Name)),
	}
}

// without removes the refused contenders. A refused pair that runs stays, with the spec that it runs with.
func (all contenders) without(refused map[string][]Conflict) contenders {
	var rest contenders
	for _, c := range all {
		if refused[c.spec.Name] == nil {
			rest = append(rest, c)
		} else if c.current != nil {
			c.spec, c.wants = *c.current, c.holds
			rest = append(rest, c)
		}
	}
	return rest
}
