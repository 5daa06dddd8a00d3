package guest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"joolctl/fdstore/fdstoretest"
)

// managed is a supervisor of one pair under a service manager, which passes its sockets to the next supervisor.
type managed struct {
	worker
	manager *fdstoretest.Manager
	dir     string
}

// startManaged starts one and waits until it listens.
func startManaged(t testing.TB, n *namespace, p pair) *managed {
	t.Helper()
	m := &managed{manager: fdstoretest.New(t), dir: t.TempDir()}
	p.namespace = n.name
	p.write(t, m.dir)
	m.worker = worker{kind: supervised, namespace: n, pair: p, socket: filepath.Join(m.dir, "control.sock")}
	m.start(t)
	return m
}

func (m *managed) start(t testing.TB) {
	t.Helper()
	m.process = startWith(t, nil, func(cmd *exec.Cmd) {
		files, variables := m.manager.Pass()
		cmd.ExtraFiles = files
		cmd.Env = append(os.Environ(), variables...)
	}, "sh", "-c", `export LISTEN_PID=$$; exec "$0" "$@"`, joolctl, "up", m.dir, "--socket", m.socket)
	// Its socket is open all the time.
	eventually(t, listensWithin, "all its workers run", func() string {
		m.running(t)
		if out, code := command(t, joolctl, "--socket", m.socket, "status"); code != exitOK {
			return out
		}
		return ""
	})
}

// restart stops it and starts the next one, meanwhile something happens.
func (m *managed) restart(t testing.TB, meanwhile func()) {
	t.Helper()
	m.stop(t)
	m.manager.Await(t, 3) // two sockets and the counters
	meanwhile()
	m.start(t)
}
