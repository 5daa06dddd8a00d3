// Package guest has the tests that run inside the lab's virtual machine, on a real Jool module. They share a topology of namespaces,
// the programs under test, traffic generators and readers of the session tables. Outside a machine, the tests skip.
//
// Package e2e builds this package's test binary and the two programs, boots a
// machine for each version of Jool and runs the tests in it.
package guest

import (
	"os"
	"sync/atomic"
	"testing"
	"time"

	"joolctl/joolnl"
	"joolctl/session"
)

// EnvRun is set inside the machine. Its value chooses the test to run: the purpose that a test passes to enter.
const EnvRun = "JOOLCTL_GUEST"

// Where the programs are in the machine. The C joold of the module's own
// version is in the PATH.
const (
	joolctl = "/p/joolctl"
	joold   = "/p/joold"
	cJoold  = "/usr/bin/joold"
)

// Documentation is where the README and docs are in the machine.
const Documentation = "/documentation"

// Packages is where joolctl's .deb is in a Debian with systemd: an older version in the directory old, and the working tree's
// in new, each beside its checksums.
const Packages = "/packages"

// Kept is where the inputs are that fuzzing of package syncwire has kept, a directory for each target.
const Kept = "/kept"

// Shell is the script that TestShell runs.
const Shell = "/p/shell"

// enter skips the test unless it runs inside a machine that was started for this purpose.
func enter(t testing.TB, purpose string) {
	t.Helper()
	if os.Getenv(EnvRun) != purpose {
		t.Skipf("runs in a virtual machine only, with %s=%s; go test ./e2e boots one", EnvRun, purpose)
	}
	entered.Store(true)
}

// entered reports whether any test ran for the purpose.
var entered atomic.Bool

// module returns the version of the loaded module.
func module(t testing.TB) joolnl.Version {
	t.Helper()
	v, err := joolnl.ModuleVersion()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// countsJoold reports whether the module has counters of its synchronisation.
func countsJoold(v joolnl.Version) bool { return v.Format() != session.Nested }

// losesBursts reports whether the module itself loses sessions that are opened at once. Tests then send traffic slowly,
// or send it again.
func losesBursts(v joolnl.Version) bool { return !v.HasAdvertise() }

// pollEvery is the pause between two checks of a condition, if a check takes very little time.
const pollEvery = 100 * time.Millisecond

// eventually polls until the condition holds. The condition returns "" if it holds, and otherwise the reason. If it
// does not hold within limit, eventually fails the test with the last reason.
func eventually(t testing.TB, limit time.Duration, what string, condition func() string) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		looked := time.Now()
		missing := condition()
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: still not after %v:\n%s", what, limit, missing)
		}
		// Reading a large table, or running a command, competes for the processor with the programs under test.
		<-time.After(max(pollEvery, 2*time.Since(looked)))
	}
}
