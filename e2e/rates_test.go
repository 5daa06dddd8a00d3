package e2e

import (
	"testing"

	"joolctl/e2e/lab/labtest"
)

// TestRates overloads an instance's daemon on the newest version of Jool. The oldest one does not count the sessions that it
// drops.
func TestRates(t *testing.T) {
	t.Parallel()
	l := labtest.Prepare(t)
	boot(t, l, "rates", l.Newest())
}
