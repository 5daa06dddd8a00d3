package e2e

import (
	"testing"

	"joolctl/e2e/lab/labtest"
)

// TestChaos has everything go wrong that can be made to, in short.
func TestChaos(t *testing.T) {
	t.Parallel()
	l := labtest.Prepare(t)
	boot(t, l, "chaos", l.Newest())
}
