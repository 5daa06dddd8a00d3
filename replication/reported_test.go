package replication

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"joolctl/session"
)

// own is the mapping of a session that the own module has reported.
func own(r *session.Record) reportedMapping { return reportedMapping{host: hostOf(r)} }

var (
	comparesMappings = cmp.AllowUnexported(reportedMapping{}, bibHost{})
	addresses        = cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
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
	if diff := cmp.Diff([]reportedMapping{own(&during)}, r.EndComparison(), comparesMappings, addresses); diff != "" {
		t.Errorf("reported during the comparison (-want +got):\n%s", diff)
	}
	r.Add(&after)
	if diff := cmp.Diff([]reportedMapping{own(&before)}, compared, comparesMappings, addresses); diff != "" {
		t.Errorf("the comparison leaves out (-want +got):\n%s", diff)
	}
	if all := r.BeginComparison(); len(all) != 3 || all[2] != own(&after) || len(r.EndComparison()) > 0 {
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

// TestReportedByPeer has a peer report a session. The peer's mapping is in use, and the own module's other mappings are not.
func TestReportedByPeer(t *testing.T) {
	r := sessionAt(1, 0)
	var reported Reported
	reported.Start()
	reported.AddList(packedList(t, r))
	mappings := make(map[reportedMapping]struct{})
	for _, m := range reported.BeginComparison() {
		mappings[m] = struct{}{}
	}
	other := moved(r)
	if host := hostOf(&r); !inUse(mappings, host, maskOf(&r)) || inUse(mappings, host, maskOf(&other)) || reported.Own(r.Key()) {
		t.Errorf("%+v", mappings)
	}
	reported.Add(&r)
	for _, m := range reported.BeginComparison() {
		mappings[m] = struct{}{}
	}
	if !inUse(mappings, hostOf(&r), maskOf(&other)) || !reported.Own(r.Key()) {
		t.Errorf("after a report of the own module: %+v", mappings)
	}
}

// moved is a session under another mask.
func moved(r session.Record) session.Record {
	r[19]++
	return r
}
