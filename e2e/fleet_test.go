package e2e

import (
	"testing"
	"time"

	"joolctl/e2e/lab"
)

// TestFleet changes files while one supervisor has 40 workers and traffic
// flows: on the oldest and the newest version of Jool.
func TestFleet(t *testing.T) {
	onEach(t, func(*lab.Lab, string) Guest {
		return Guest{
			Purpose: "fleet",
			Timeout: 4 * time.Minute, // far more than it should take

			CountInstructions: true,
		}
	})
}
