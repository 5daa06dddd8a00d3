package e2e

import (
	"testing"

	"joolctl/e2e/lab/labtest"
)

// TestStandby has the rows of docs/benchmarks.md that only mean something where no load of the host's counts, in short,
// and ours and a C joold on one group.
func TestStandby(t *testing.T) {
	t.Parallel()
	l := labtest.Prepare(t)
	boot(t, l, "standby", l.Newest())
}
