package e2e

import (
	"testing"

	"joolctl/e2e/lab/labtest"
)

// TestSoak has random faults befall three hosts with five instances each for a minute, always the same ones.
func TestSoak(t *testing.T) {
	t.Parallel()
	l := labtest.Prepare(t)
	boot(t, l, "soak", l.Newest())
}
