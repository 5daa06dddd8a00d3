// Package labtest gives tests the lab, or the reason why they can't have it.
package labtest

import (
	"errors"
	"os"
	"sync"
	"testing"

	"joolctl/e2e/lab"
)

var prepare struct {
	once sync.Once
	lab  *lab.Lab
	err  error
}

// Prepare returns the lab, which it prepares once per process. Where the machine can't have it, the test is skipped with
// the reason; with CI=true in the environment it fails, because nobody reads skips there. With -short it is
// skipped always.
func Prepare(t testing.TB) *lab.Lab {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a virtual machine; -short is set")
	}
	prepare.once.Do(func() { prepare.lab, prepare.err = lab.Prepare(t.Context(), t.Logf) })
	if prepare.err != nil {
		Unavailable(t, prepare.err)
	}
	return prepare.lab
}

// EnvLong is set by make test-long. Without it, tests that boot the system of a Debian suite are skipped: preparing and
// booting them takes many minutes.
const EnvLong = "JOOLCTL_LONG"

// PrepareSuite returns the lab of a Debian suite. It skips or fails the test as [Prepare] does.
func PrepareSuite(t testing.TB, suite string) *lab.Lab {
	t.Helper()
	if testing.Short() || os.Getenv(EnvLong) == "" {
		t.Skipf("needs the lab of Debian %s, and %s=1 in the environment; make test-long runs it", suite, EnvLong)
	}
	l, err := lab.PrepareSuite(t.Context(), t.Logf, suite)
	if err != nil {
		Unavailable(t, err)
	}
	return l
}

// Unavailable ends the test because of an error of the lab's: it is skipped or fails as [Prepare] says.
func Unavailable(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, lab.ErrUnavailable) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	t.Fatal(err)
}
