package e2e

import (
	"testing"
	"time"

	"joolctl/e2e/lab"
)

// TestStandby has the rows of docs/benchmarks.md that only mean something where no load of the host's counts, in short,
// and ours and a C joold on one group: on the oldest and the newest version of Jool.
func TestStandby(t *testing.T) {
	onEach(t, func(*lab.Lab, string) Guest {
		return Guest{
			Purpose: "standby",
			Args:    []string{"-test.short"},
			Timeout: 12 * time.Minute, // far more than it should take

			CountInstructions: true,
		}
	})
}
