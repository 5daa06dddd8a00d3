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

// boot runs the guest's tests for a purpose, in their short form, in a machine of the lab's.
func boot(t *testing.T, l *lab.Lab, purpose, version string, args ...string) {
	t.Helper()
	bootForm(t, l, purpose, version, true, args...)
}

// bootForm is boot for the short or the long form.
func bootForm(t *testing.T, l *lab.Lab, purpose, version string, short bool, args ...string) {
	t.Helper()
	programs, err := build()
	if err != nil {
		t.Fatal(err)
	}
	g, err := GuestFor(l, purpose, version, short)
	if err != nil {
		t.Fatal(err)
	}
	g.Stdout = t.Output()
	g.Args = slices.Concat(verbose(), g.Args, args)
	if _, err = programs.Run(t.Context(), l, g); err != nil {
		labtest.Unavailable(t, err)
	}
}

// verbose are the arguments of a guest's test that says as much as this one.
func verbose() []string {
	if testing.Verbose() {
		return []string{"-test.v"}
	}
	return nil
}

// onEach boots a machine of the oldest and one of the newest version of Jool that the lab has.
func onEach(t *testing.T, purpose string) {
	t.Parallel()
	l := labtest.Prepare(t)
	versions := []struct{ age, jool string }{{"oldest", l.Oldest()}, {"newest", l.Newest()}}
	if l.Oldest() == l.Newest() {
		versions = versions[1:]
	}
	for _, v := range versions {
		t.Run(v.age+" Jool, "+v.jool, func(t *testing.T) {
			t.Parallel()
			boot(t, l, purpose, v.jool)
		})
	}
}
