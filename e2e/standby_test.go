package e2e

import (
	"testing"
	"time"

	"joolctl/e2e/lab/labtest"
)

// TestStandby has the rows of docs/benchmarks.md that only mean something where no load of the host's counts, in short,
// and ours and a C joold on one group.
func TestStandby(t *testing.T) {
	t.Parallel()
	l := labtest.Prepare(t)
	boot(t.Context(), t, l, Guest{
		Jool:    l.Newest(),
		Purpose: "standby",
		Args:    []string{"-test.short"},
		Timeout: 12 * time.Minute, // far more than it should take

		CountInstructions: true,
	})
}
