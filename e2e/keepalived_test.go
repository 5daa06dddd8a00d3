package e2e

import (
	"testing"
	"time"

	"joolctl/e2e/lab/labtest"
)

// TestKeepalived runs packaging/keepalived's example under keepalived itself.
func TestKeepalived(t *testing.T) {
	t.Parallel()
	l := labtest.Prepare(t)
	boot(t.Context(), t, l, Guest{
		Jool:    l.Newest(),
		Purpose: "keepalived",
		Files:   labtest.Program(t, l, "keepalived", "/usr/sbin/keepalived"),
		Timeout: 4 * time.Minute,

		CountInstructions: true,
	})
}
