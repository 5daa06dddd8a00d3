package e2e

import "testing"

// TestFleet changes files while one supervisor has 40 workers and traffic
// flows: on the oldest and the newest version of Jool.
func TestFleet(t *testing.T) { onEach(t, "fleet") }
