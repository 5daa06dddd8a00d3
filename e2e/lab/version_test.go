package lab

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCompareVersions(t *testing.T) {
	sorted := []string{"", "3.9", "4", "4.1", "4.1.rc1", "4.1.0", "4.1.9", "4.1.13", "4.1.15", "4.1.15.1", "4.2.0", "4.10.0", "10"}
	got := slices.Clone(sorted)
	slices.Reverse(got)
	slices.SortFunc(got, compareVersions)
	if diff := cmp.Diff(sorted, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	for _, v := range sorted {
		if compareVersions(v, v) != 0 {
			t.Errorf("%q isn't equal to itself", v)
		}
	}
}

func TestSuiteNames(t *testing.T) {
	for own, want := range map[string][]string{
		"bookworm": {"bookworm", "trixie", "sid"},
		"trixie":   {"trixie", "sid"},
		"forky":    {"forky", "trixie", "sid"},
	} {
		if diff := cmp.Diff(want, suiteNames(own)); diff != "" {
			t.Errorf("suites of %s (-want +got):\n%s", own, diff)
		}
	}
}
