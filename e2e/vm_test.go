package e2e

import (
	"testing"
	"time"

	"joolctl/e2e/lab"
)

// TestVM runs the guest's tests in a machine of the oldest and one of the
// newest version of Jool that the lab has.
func TestVM(t *testing.T) {
	onEach(t, func(*lab.Lab, string) Guest {
		return Guest{
			Purpose: "test",
			Args:    []string{"-test.parallel=6"},
			Timeout: 4 * time.Minute, // far more than it should take
		}
	})
}
