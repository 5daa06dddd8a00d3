// Package e2e runs the tests of package guest on real kernels: it builds them
// and the two programs, and boots a virtual machine for the oldest and the
// newest version of Jool that the lab has.
package e2e

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"joolctl/e2e/lab"
	"joolctl/e2e/lab/labtest"
)

// TestVM runs the guest's tests in a machine for each version.
func TestVM(t *testing.T) {
	l := labtest.Prepare(t)
	programs, err := build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range slices.Compact([]string{l.Oldest(), l.Newest()}) {
		t.Run("Jool "+version, func(t *testing.T) { runGuest(t, l, programs, version) })
	}
}

// guestTimeout bounds one machine's run, far above what it should take.
const guestTimeout = 4 * time.Minute

func runGuest(t *testing.T, l *lab.Lab, programs map[string]string, version string) {
	var out bytes.Buffer
	result, err := l.Boot(t.Context(), lab.Machine{
		Jool:    version,
		Files:   programs,
		Command: []string{guestTest, "-test.v", "-test.parallel=6", "-test.timeout=" + guestTimeout.String()},
		Env:     []string{"JOOLCTL_GUEST=test"},
		Timeout: guestTimeout + time.Minute,
		Stdout:  io.MultiWriter(&out, t.Output()),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, trouble := range result.KernelTrouble {
		t.Errorf("the kernel complained:\n%s", trouble)
	}
	if result.Exit != 0 {
		t.Errorf("the tests in the machine ended with status %d", result.Exit)
	}
	if passed := bytes.Count(out.Bytes(), []byte("--- PASS: ")); passed == 0 {
		t.Error("no test passed in the machine")
	}
	fmt.Fprintf(t.Output(), "booted in %v\n", result.BootTime.Round(time.Millisecond))
}
