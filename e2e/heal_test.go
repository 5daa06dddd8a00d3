package e2e

import (
	"testing"
	"time"

	"joolctl/e2e/lab"
)

// TestHeal takes everything away that a worker needs, the module too, and gives
// it back: on the oldest and the newest version of Jool.
func TestHeal(t *testing.T) {
	onEach(t, func(l *lab.Lab, version string) Guest {
		tests := "^TestHeal$"
		if version == l.Newest() {
			// The oldest loses by itself most of what nobody acknowledges while the
			// supervisor is away: of 400 sessions, opened a hundred a second, 34 came.
			tests = "^(TestHeal|TestRestart)$"
		}
		return Guest{
			Purpose: "heal",
			Args:    []string{"-test.run=" + tests},
			Timeout: 3 * time.Minute,

			CountInstructions: true,
		}
	})
}
