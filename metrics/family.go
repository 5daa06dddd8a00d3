// Package metrics encodes the state of a supervisor as metrics for Prometheus, and serves them by HTTP.
//
// The table returned by Sections defines all families. The encoder, docs/metrics.md and the tests use it. The names are
// those of `joolctl status -o json` (docs/json.md).
package metrics

import (
	"strings"

	"joolctl/joolnl"
	"joolctl/supervisor"
)

// Type is the type of a family.
type Type int

// The types of families.
const (
	Counter Type = iota // the value only increases; it returns to 0 when the pair or the program starts again
	Gauge               // the value may decrease
	Info                // the value is always 1; the labels carry the information
	Unknown             // the value may or may not decrease
)

func (t Type) String() string { return [...]string{"counter", "gauge", "info", "unknown"}[t] }

// in returns the name of the type in a format. The text format of Prometheus lacks some types.
func (t Type) in(f Format) string {
	switch {
	case f == OpenMetrics:
		return t.String()
	case t == Info:
		return "gauge"
	case t == Unknown:
		return "untyped"
	}
	return t.String()
}

// Label is a label of a family.
type Label struct {
	// Name is the name of the label. Values are its possible values; none: any.
	Name   string
	Values []string
}

// Family is a metric: all series of one name.
type Family struct {
	// Name is the name of the samples.
	Name string
	Type Type
	// Unit is the unit of the metric, or the noun that it counts. It ends the name, before _total. It is empty if there
	// is no unit.
	Unit string
	// Labels are the labels in addition to pair.
	Labels []Label
	// Help describes the metric in one sentence.
	Help string

	// One of these functions writes the samples: of the program, of a pair, or of a pair's module. The module's counters
	// are nil if the module did not answer in time.
	program func(*encoder, *scrape)
	pair    func(*encoder, *supervisor.Row)
	module  func(*encoder, *joolnl.ModuleCounters)
}

// base returns the name of the family in OpenMetrics, in which the type determines the ending of the samples' names.
func (f *Family) base() string {
	switch f.Type {
	case Counter:
		return strings.TrimSuffix(f.Name, "_total")
	case Info:
		return strings.TrimSuffix(f.Name, "_info")
	}
	return f.Name
}

// OfPair reports whether the family has the label pair.
func (f *Family) OfPair() bool { return f.program == nil }

// Section is a part of the table.
type Section struct {
	Title string
	// Text describes what all families of the section share; "": nothing.
	Text     string
	Families []Family
}

// Sections returns the table of all families, in the order in which they are written.
func Sections() []Section { return table }

// table is built once and never changed.
var table = []Section{programSection, pairSection, verdictSection, tableSection, ledgerSection, lossSection, statsSection, syncSection, peerSection, moduleSection()}
