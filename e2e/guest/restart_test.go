package guest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"joolctl/fdstore/fdstoretest"
)

// TestRestart restarts J's supervisor under a service manager that keeps its
// sockets. Without resync and repeats, what J opens while no supervisor runs gets
// to K by these sockets alone.
func TestRestart(t *testing.T) {
	enter(t, "heal")
	const before, meanwhile = 20, 400
	top := newTopology(t)
	pairJ, pairK := top.pairs(group6)
	pairJ.plain, pairK.plain = true, true
	startWorker(t, supervised, top.k, pairK)

	manager := fdstoretest.New(t)
	dir := t.TempDir()
	pairJ.namespace = top.j.name
	pairJ.write(t, dir)
	socket := filepath.Join(dir, "control.sock")
	run := func() *process {
		p := startWith(t, nil, func(cmd *exec.Cmd) {
			files, variables := manager.Pass()
			cmd.ExtraFiles = files
			cmd.Env = append(os.Environ(), variables...)
		}, "sh", "-c", `export LISTEN_PID=$$; exec "$0" "$@"`, joolctl, "up", dir, "--socket", socket)
		top.j.awaitListening(t, p, pairJ.group, pairJ.port, 1)
		return p
	}
	first := run()
	top.sendUDP(t, portRange(10000, 1), before, pace{})
	top.awaitSameCount(t, before, time.Minute)
	sent := func() uint64 {
		st, _ := statusOf(t, socket)
		return st.Totals["NET_SENT_PKTS"]
	}
	sentBefore := sent()
	first.stop(t)
	manager.Await(t, 3) // two sockets and the counters
	top.sendUDP(t, portRange(11000, 10), meanwhile/10, pace{})
	next := run()
	top.awaitSameCount(t, before+meanwhile, time.Minute)
	if now := sent(); sentBefore == 0 || now <= sentBefore {
		t.Errorf("%d datagrams sent, before the restart it were %d", now, sentBefore)
	}
	manager.Await(t, 0)
	next.stop(t)
}
