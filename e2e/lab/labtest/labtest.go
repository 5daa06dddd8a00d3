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
	available(t, prepare.err)
	return prepare.lab
}

// Program returns a program for a machine of the lab's, as [lab.Lab.Program] does. It skips and fails as [Prepare] does.
func Program(t testing.TB, l *lab.Lab, pkg, program string) map[string]string {
	t.Helper()
	files, err := l.Program(t.Context(), t.Logf, pkg, program)
	available(t, err)
	return files
}

// available skips or fails the test unless err is nil.
func available(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, lab.ErrUnavailable) && os.Getenv("CI") != "true":
		t.Skip(err)
	default:
		t.Fatal(err)
	}
}
