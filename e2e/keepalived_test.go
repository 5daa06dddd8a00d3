package e2e

import (
	"testing"

	"joolctl/e2e/lab/labtest"
)

// TestKeepalived runs packaging/keepalived's example under keepalived itself.
func TestKeepalived(t *testing.T) {
	t.Parallel()
	l := labtest.Prepare(t)
	boot(t, l, "keepalived", l.Newest())
}
