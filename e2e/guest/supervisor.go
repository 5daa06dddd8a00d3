package guest

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// supervisor is a running `joolctl up`.
type supervisor struct {
	*process
	dir, socket string
}

// startSupervisor starts a supervisor in the machine's own namespace, for pairs that name their namespaces. It does not
// wait for their workers.
func startSupervisor(t testing.TB, pairs ...pair) supervisor {
	t.Helper()
	return startSupervisorWith(t, func(*exec.Cmd) {}, pairs...)
}

// startSupervisorWith is startSupervisor for a program that gets more than arguments.
func startSupervisorWith(t testing.TB, prepare func(*exec.Cmd), pairs ...pair) supervisor {
	t.Helper()
	dir := t.TempDir()
	for _, p := range pairs {
		p.write(t, dir)
	}
	s := supervisor{dir: dir, socket: filepath.Join(t.TempDir(), "control.sock")}
	s.process = startWith(t, nil, prepare, joolctl, "up", dir, "--socket", s.socket)
	return s
}

// awaitRunning waits until that many workers run, and there are no others.
func (s supervisor) awaitRunning(t testing.TB, workers int, limit time.Duration) {
	t.Helper()
	eventually(t, limit, fmt.Sprintf("%d workers run", workers), func() string {
		s.running(t)
		out, code := s.command(t, "status")
		if code == exitOK {
			if st := s.status(t); len(st.Workers) != workers {
				return fmt.Sprintf("there are %d workers", len(st.Workers))
			}
			return ""
		}
		return fmt.Sprintf("exit status %d:\n%s", code, out)
	})
}

// Exit statuses of joolctl's.
const (
	exitOK           = 0
	exitNotWell      = 1
	exitNoSupervisor = 3
)

// command runs one of joolctl's commands with this supervisor.
func (s supervisor) command(t testing.TB, args ...string) (string, int) {
	t.Helper()
	return command(t, append([]string{joolctl, "--socket", s.socket}, args...)...)
}

// status returns the supervisor's status of all its workers, which must all run.
func (s supervisor) status(t testing.TB) status {
	t.Helper()
	st, code := statusOf(t, s.socket)
	if code != exitOK {
		t.Fatalf("joolctl status -o json ended with %d, want %d", code, exitOK)
	}
	return st
}

// changes returns how often a pair's worker has applied another configuration.
func (s supervisor) changes(name string) int {
	return strings.Count(s.log.String(), `msg="worker took its new configuration" pair=`+name+"\n")
}

// in returns the pair for an instance of another namespace.
func (p pair) in(n *namespace) pair {
	p.namespace = n.name
	return p
}
