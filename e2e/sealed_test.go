package e2e

import "testing"

// TestSealed changes keys and modes of groups of hosts under traffic, and attacks them: on the oldest and the newest version of Jool.
func TestSealed(t *testing.T) { onEach(t, "sealed") }
