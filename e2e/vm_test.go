package e2e

import (
	"bytes"
	"io"
	"slices"
	"testing"
	"time"

	"joolctl/e2e/lab/labtest"
)

// TestVM runs the guest's tests in a machine of the oldest and one of the
// newest version of Jool that the lab has.
func TestVM(t *testing.T) {
	l := labtest.Prepare(t)
	programs, err := Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range slices.Compact([]string{l.Oldest(), l.Newest()}) {
		t.Run("Jool "+version, func(t *testing.T) {
			var out bytes.Buffer
			_, err := programs.Run(t.Context(), l, Guest{
				Jool:    version,
				Purpose: "test",
				Args:    []string{"-test.v", "-test.parallel=6"},
				Timeout: 4 * time.Minute, // far more than it should take
				Stdout:  io.MultiWriter(&out, t.Output()),
			})
			if err != nil {
				t.Error(err)
			}
			if !bytes.Contains(out.Bytes(), []byte("--- PASS: ")) {
				t.Error("no test passed in the machine")
			}
		})
	}
}
