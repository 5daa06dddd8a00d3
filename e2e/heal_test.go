package e2e

import (
	"slices"
	"testing"
	"time"

	"joolctl/e2e/lab/labtest"
)

// TestHeal takes everything away that a worker needs, the module too, and gives
// it back: on the oldest and the newest version of Jool.
func TestHeal(t *testing.T) {
	l := labtest.Prepare(t)
	programs, err := Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range slices.Compact([]string{l.Oldest(), l.Newest()}) {
		t.Run("Jool "+version, func(t *testing.T) {
			_, err := programs.Run(t.Context(), l, Guest{
				Jool:    version,
				Purpose: "heal",
				Args:    []string{"-test.v", "-test.run=^TestHeal$"},
				Timeout: 2 * time.Minute,
				Stdout:  t.Output(),
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}
