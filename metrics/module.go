package metrics

import (
	"strconv"
	"strings"

	"joolctl/joolnl"
)

// moduleSection returns a family for each counter of the module, of any version. The names follow from Jool's:
// JSTAT_POOL6_UNSET becomes jool_pool6_unset_total, JSTAT64_SRC becomes jool_jstat64_src_total.
func moduleSection() Section {
	s := Section{
		Title: "Counters of the module",
		Text: "With `--metrics-module` only. Each is the counter of the Jool instance that the help names; the command `jool stats display --all --explain` describes it. Modules of other\n" +
			"versions have other counters. A counter that the module does not have is missing. Recording rules give them the names of [two other exporters](#in-the-place-of-other-exporters).",
		Families: []Family{
			{Name: "joolctl_module_answered", Type: Gauge, Help: "Whether the module has told its counters in time for this scrape.",
				module: func(e *encoder, c *joolnl.ModuleCounters) { e.truth(c != nil) }},
		},
	}
	for i, name := range joolnl.CounterNames() {
		f := Family{Name: ModuleName(name), Type: Counter, Help: "Counter " + name + " of Jool's module.",
			module: func(e *encoder, c *joolnl.ModuleCounters) {
				if c == nil {
					return
				}
				if n, ok := c.Get(i); ok {
					e.count(n)
				}
			}}
		if joolnl.IsGauge(name) {
			f.Type = Gauge
		}
		s.Families = append(s.Families, f)
	}
	s.Families = append(s.Families, Family{
		Name: "jool_unnamed", Type: Unknown, Labels: anyOf("number"), Help: "Counters of a module that is newer than joolctl, by their number. joolctl does not know their names.",
		module: func(e *encoder, c *joolnl.ModuleCounters) {
			if c == nil {
				return
			}
			for _, u := range c.Unnamed {
				e.count(u.Value, strconv.Itoa(u.Number))
			}
		},
	})
	return s
}

// ModuleName returns the metric's name for a counter of the module. counter is Jool's name (JSTAT…).
func ModuleName(counter string) string {
	name := "jool_" + strings.ToLower(strings.TrimPrefix(counter, "JSTAT_"))
	if !joolnl.IsGauge(counter) {
		name += "_total"
	}
	return name
}
