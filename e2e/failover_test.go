package e2e

import (
	"testing"

	"joolctl/e2e/lab/labtest"
)

// TestFailovers runs the examples of packaging/keepalived and packaging/bgp under keepalived, FRR and BIRD, while hosts
// crash and return.
func TestFailovers(t *testing.T) {
	t.Parallel()
	l := labtest.Prepare(t)
	boot(t, l, "failover", l.Newest())
}
