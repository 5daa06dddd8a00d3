package e2e

import (
	"testing"

	"joolctl/e2e/lab/labtest"
)

// TestDrill runs the failover drill of docs/observing.md, with Prometheus.
func TestDrill(t *testing.T) {
	t.Parallel()
	l := labtest.Prepare(t)
	boot(t, l, "drill", l.Newest())
}
