package guest

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// daemon is a way to run a worker for an instance.
type daemon string

const (
	oneJoold   daemon = "joold"      // this project's, alone in the namespace
	upstream   daemon = "C joold"    // Jool's own
	supervised daemon = "joolctl up" // this project's supervisor, from outside of the namespace
)

// ours reports whether the daemon is a program of this project.
func (d daemon) ours() bool { return d != upstream }

// worker is a running daemon that serves one pair.
type worker struct {
	*process
	kind      daemon
	namespace *namespace
	pair      pair
	socket    string // of a supervisor
}

// startWorker starts a daemon for a pair of the namespace and waits until it listens. A daemon of this project has a
// stats server if the pair has a port for it.
func startWorker(t testing.TB, kind daemon, n *namespace, p pair) worker {
	t.Helper()
	w := worker{kind: kind, namespace: n, pair: p}
	dir := t.TempDir()
	switch kind {
	case supervised:
		p.namespace = n.name
		p.write(t, dir)
		w.socket = filepath.Join(dir, "control.sock")
		w.process = start(t, nil, joolctl, "up", dir, "--socket", w.socket)
	case oneJoold:
		statsPort := p.statsPort
		p.statsPort = 0
		net, mod := p.write(t, dir)
		args := []string{joold, net, mod}
		if statsPort != 0 {
			args = append(args, strconv.Itoa(int(statsPort)))
		}
		w.process = start(t, n, args...)
	case upstream:
		p.statsPort = 0
		net, mod := p.write(t, dir)
		w.process = start(t, n, cJoold, net, mod)
	}
	n.awaitListening(t, p.group, p.port, w.process)
	return w
}

// stop ends the worker. A daemon of this project must exit without an error.
func (w worker) stop(t testing.TB) {
	t.Helper()
	if w.kind.ours() {
		w.process.stop(t)
		return
	}
	w.process.kill()
}

// awaitComplete waits until a worker of this project logs that its table is complete.
func (w worker) awaitComplete(t testing.TB) {
	t.Helper()
	if !w.kind.ours() {
		return
	}
	eventually(t, syncedWithin, "the table is complete", func() string {
		if log := w.log.String(); !strings.Contains(log, "the table has all sessions") {
			return log
		}
		return ""
	})
}
