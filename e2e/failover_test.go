package e2e

import (
	"os"
	"testing"

	"joolctl/e2e/lab/labtest"
)

// TestFailovers runs the examples of packaging/keepalived and packaging/bgp under keepalived, FRR and BIRD, while hosts
// crash and return. With JOOLCTL_LONG=1 there are ten failovers in place of two, and C joold gets them too.
func TestFailovers(t *testing.T) {
	t.Parallel()
	l := labtest.Prepare(t)
	bootForm(t, l, "failover", l.Newest(), os.Getenv(labtest.EnvLong) != "1")
}
