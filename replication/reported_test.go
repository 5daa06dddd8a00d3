package replication

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"joolctl/session"
)

// TestReportedDuringComparison has the module report sessions before, during and after a comparison, while the rest of the
// table still arrives.
func TestReportedDuringComparison(t *testing.T) {
	before, during, after := sessionAt(1, 0), sessionAt(2, 0), sessionAt(3, 0)
	var r Reported
	if r.Add(&before); r.Recording() || r.Has(before.Key()) {
		t.Error("it records before Start")
	}
	r.Start()
	r.Add(&before)
	compared := r.BeginComparison()
	r.Add(&before)
	r.Add(&during)
	if diff := cmp.Diff([]session.Key{during.Key()}, r.EndComparison()); diff != "" {
		t.Errorf("reported during the comparison (-want +got):\n%s", diff)
	}
	r.Add(&after)
	if diff := cmp.Diff([]session.Key{before.Key()}, compared); diff != "" {
		t.Errorf("the comparison leaves out (-want +got):\n%s", diff)
	}
	if all := r.BeginComparison(); len(all) != 3 || all[2] != after.Key() || len(r.EndComparison()) > 0 {
		t.Errorf("the second comparison leaves out %v", all)
	}
	if n := testing.AllocsPerRun(100, func() { r.BeginComparison() }); n > 0 {
		t.Errorf("a comparison copies the sessions: %v allocations", n)
	}
	if !r.Has(during.Key()) || !r.Has(after.Key()) || r.Overflowed() {
		t.Errorf("%+v", r)
	}
	if r.Stop(); r.Recording() || r.Has(before.Key()) {
		t.Error("it records after Stop")
	}
}
