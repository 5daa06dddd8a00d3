// Package debianprogram finds programs of Debian packages for tests.
package debianprogram

import (
	"os"
	"os/exec"
	"testing"
)

// Path returns the path of a program. A test that lacks it is skipped, and fails in CI, where nobody reads skips.
func Path(t testing.TB, program, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("%v (Debian: %s)", err, debianPackage)
	default:
		t.Skipf("%v (Debian: %s)", err, debianPackage)
	}
	return path
}
