package e2e

import "testing"

// TestHeal takes everything away that a worker needs, the module too, and gives
// it back: on the oldest and the newest version of Jool.
func TestHeal(t *testing.T) { onEach(t, "heal") }
