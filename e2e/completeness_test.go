package e2e

import "testing"

// TestCompleteness measures how long hosts say that they are complete while their modules lack sessions: on the oldest and
// the newest version of Jool.
func TestCompleteness(t *testing.T) { onEach(t, "completeness") }
