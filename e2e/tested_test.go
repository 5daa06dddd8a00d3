package e2e

import (
	"slices"
	"testing"

	"joolctl/e2e/lab/labtest"
	"joolctl/joolnl"
)

// TestTestedVersions: `joolctl version` names the versions of Jool that the lab
// has. A version that Debian drops stays named, because the tests ran on it. A
// version that Debian adds is no failure.
func TestTestedVersions(t *testing.T) {
	l := labtest.Prepare(t)
	tested := joolnl.Tested()
	newest := parse(t, tested[len(tested)-1])
	for _, v := range l.Versions() {
		switch {
		case slices.Contains(tested, v):
		case parse(t, v) > newest:
			t.Logf("the lab has Jool %s; add it to joolnl.Tested once the tests pass on it", v)
		default:
			t.Errorf("the lab has Jool %s, which joolnl.Tested lacks", v)
		}
	}
}

func parse(t *testing.T, version string) joolnl.Version {
	t.Helper()
	v, err := joolnl.ParseVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
