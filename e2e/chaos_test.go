package e2e

import (
	"testing"
	"time"

	"joolctl/e2e/lab/labtest"
)

// TestChaos has everything go wrong that can be made to, in short.
func TestChaos(t *testing.T) {
	t.Parallel()
	l := labtest.Prepare(t)
	boot(t.Context(), t, l, Guest{
		Jool:    l.Newest(),
		Other:   AnotherVersion(l),
		Purpose: "chaos",
		Args:    []string{"-test.short", "-test.run=^TestChaos$"},
		Timeout: 6 * time.Minute, // far more than it should take

		CountInstructions: true,
	})
}
