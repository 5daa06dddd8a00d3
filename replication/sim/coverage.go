package sim

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// Coverage counts which faults were in force in which phases of a full sync.
type Coverage struct {
	counts map[combination]int
}

type combination struct {
	kind  Kind
	phase string
}

// Hit counts a fault in a phase.
func (c *Coverage) Hit(k Kind, phase string) {
	if c.counts == nil {
		c.counts = make(map[combination]int)
	}
	c.counts[combination{k, phase}]++
}

// Count returns how often a fault was in force in a phase.
func (c *Coverage) Count(k Kind, phase string) int { return c.counts[combination{k, phase}] }

// Merge adds what another one has counted.
func (c *Coverage) Merge(other *Coverage) {
	if c.counts == nil {
		c.counts = make(map[combination]int)
	}
	for which, n := range other.counts {
		c.counts[which] += n
	}
}

// Phases returns the phases that were counted, in alphabetical order.
func (c *Coverage) Phases() []string {
	var phases []string
	for which := range c.counts {
		phases = append(phases, which.phase)
	}
	slices.SortFunc(phases, cmp.Compare[string])
	return slices.Compact(phases)
}

// Print writes a table with a row per kind of fault and a column per phase. A combination that never occurred shows as a
// dash. phases are the columns; nil: those that were counted.
func (c *Coverage) Print(to io.Writer, phases []string) error {
	if phases == nil {
		phases = c.Phases()
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "fault")
	for _, phase := range phases {
		fmt.Fprint(w, "\t", phase)
	}
	for _, k := range Kinds() {
		fmt.Fprint(w, "\n", k)
		for _, phase := range phases {
			if n := c.Count(k, phase); n > 0 {
				fmt.Fprint(w, "\t", n)
			} else {
				fmt.Fprint(w, "\t-")
			}
		}
	}
	fmt.Fprintln(w)
	return w.Flush()
}
