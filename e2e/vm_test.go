package e2e

import "testing"

// TestVM runs the guest's tests in a machine of the oldest and one of the
// newest version of Jool that the lab has.
func TestVM(t *testing.T) { onEach(t, "test") }
