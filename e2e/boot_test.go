package e2e

import (
	"context"
	"os"
	"slices"
	"sync"
	"testing"

	"joolctl/e2e/lab"
	"joolctl/e2e/lab/labtest"
)

// build builds what runs in the machines, once for all tests.
var build = sync.OnceValues(func() (p Programs, err error) {
	if builtIn, err = os.MkdirTemp("", "joolctl-e2e-"); err != nil {
		return nil, err
	}
	return Build(context.Background(), builtIn)
})

var builtIn string

func TestMain(m *testing.M) {
	code := m.Run()
	if builtIn != "" {
		os.RemoveAll(builtIn)
	}
	os.Exit(code)
}

// boot runs the guest's tests in a machine of the lab's, and returns the files that they left. Any goroutine may call it.
func boot(ctx context.Context, t *testing.T, l *lab.Lab, g Guest) map[string][]byte {
	t.Helper()
	programs, err := build()
	if err != nil {
		t.Error(err)
		return nil
	}
	g.Stdout = t.Output()
	g.Args = append(verbose(), g.Args...)
	files, err := programs.Run(ctx, l, g)
	if err != nil {
		t.Error(err)
	}
	return files
}

// verbose are the arguments of a guest's test that says as much as this one.
func verbose() []string {
	if testing.Verbose() {
		return []string{"-test.v"}
	}
	return nil
}

// onEach boots a machine of the oldest and one of the newest version of Jool that the lab has.
func onEach(t *testing.T, g func(l *lab.Lab, version string) Guest) {
	t.Parallel()
	l := labtest.Prepare(t)
	for _, version := range slices.Compact([]string{l.Oldest(), l.Newest()}) {
		t.Run("Jool "+version, func(t *testing.T) {
			t.Parallel()
			guest := g(l, version)
			guest.Jool = version
			boot(t.Context(), t, l, guest)
		})
	}
}
