// Package metrics encodes the state of a supervisor as metrics for Prometheus, and serves them by HTTP.
//
// One table (Sections) has all families. The encoder, docs/metrics.md and the tests derive from it. The names are those of
// `joolctl status -o json` (docs/json.md).
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
	Counter Type = iota // it only increases, until its pair or the program begins anew
	Gauge               // it may decrease
	Info                // its value is 1, and its labels are what matters
	Unknown             // it is not known whether it may decrease
)

func (t Type) String() string { return [...]string{"counter", "gauge", "info", "unknown"}[t] }

// in returns the name of the type in a format. The text format of Prometheus does not have all types.
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
	// Name is the name of the label, Values the values that it can have; none: any.
	Name   string
	Values []string
}

// Family is a metric: all series of one name.
type Family struct {
	// Name is the name of the samples.
	Name string
	Type Type
	// Unit is what the metric counts or measures: the end of the name, without _total. It is empty if there is no unit.
	Unit string
	// Labels are the labels beside pair.
	Labels []Label
	// Help says in one sentence what it is.
	Help string

	// One of these functions writes the samples: those of the program, of a pair, or of a pair's module, whose counters are nil if
	// it has not answered in time.
	program func(*encoder, *scrape)
	pair    func(*encoder, *supervisor.Row)
	module  func(*encoder, *joolnl.ModuleCounters)
}

// base returns the name of the family in the format of OpenMetrics, where the end of the samples' name depends on the type.
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
	// Text says what the families have in common; "": nothing.
	Text     string
	Families []Family
}

// Sections returns the table of all families, in the order in which they are written.
func Sections() []Section { return table }

// table is made once; nobody changes it.
var table = []Section{programSection, pairSection, verdictSection, tableSection, ledgerSection, lossSection, statsSection, syncSection, peerSection, moduleSection()}
