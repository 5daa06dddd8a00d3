package e2e

import (
	"testing"
	"time"

	"joolctl/e2e/lab"
)

// TestStandby has ours and a C joold on one group for a minute: on the oldest and the newest version of Jool.
func TestStandby(t *testing.T) {
	onEach(t, func(*lab.Lab, string) Guest {
		return Guest{
			Purpose: "standby",
			Args:    []string{"-test.run=^TestOneGroup$"},
			Timeout: 6 * time.Minute, // far more than it should take

			CountInstructions: true,
		}
	})
}
