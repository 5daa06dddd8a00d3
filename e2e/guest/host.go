package guest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	control "joolctl/supervisor"
)

// host runs a worker for each of its pairs: one supervisor for all of them, or one C joold each.
type host struct {
	t     testing.TB // the processes end with it
	kind  daemon
	pairs []placed

	// With joolctl: dir is the directory that the supervisor is given, files is the target of dir if dir is a link.
	dir, files, socket string
	processes          []*process
	// mute is the file for the processes' output, unless it is nil.
	mute *os.File
}

// newHost returns a new host with running processes. A supervisor's directory is a link.
func newHost(t testing.TB, kind daemon, pairs []placed) *host {
	t.Helper()
	base := t.TempDir()
	h := &host{
		t: t, kind: kind, pairs: pairs,
		dir: filepath.Join(base, "conf"), files: filepath.Join(base, "files"), socket: filepath.Join(base, "control.sock"),
	}
	if err := os.Mkdir(h.files, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(h.files, h.dir); err != nil {
		t.Fatal(err)
	}
	h.write(h.files)
	h.start()
	return h
}

// write writes all pairs into a directory.
func (h *host) write(dir string) {
	h.t.Helper()
	for _, p := range h.pairs {
		if h.kind == supervised {
			p.pair.namespace = p.in.name
		}
		p.pair.write(h.t, dir)
	}
}

// start starts the processes that have ended, without waiting for them.
func (h *host) start() {
	h.t.Helper()
	if h.kind == supervised {
		h.processes = []*process{startMuted(h.t, nil, h.mute, joolctl, "up", h.dir, "--socket", h.socket)}
		return
	}
	h.processes = nil
	for _, p := range h.pairs {
		net, mod := filepath.Join(h.files, p.name+".netsocket.json"), filepath.Join(h.files, p.name+".modsocket.json")
		h.processes = append(h.processes, startMuted(h.t, p.in, h.mute, cJoold, net, mod))
	}
}

// signal sends a signal to all processes.
func (h *host) signal(s syscall.Signal) {
	h.t.Helper()
	for _, p := range h.processes {
		if err := p.cmd.Process.Signal(s); err != nil {
			h.t.Fatal(err)
		}
	}
}

// end ends all processes by a signal and waits until they have ended.
func (h *host) end(s syscall.Signal) {
	h.t.Helper()
	h.signal(s)
	for _, p := range h.processes {
		select {
		case <-p.ended:
		case <-time.After(stopWithin):
			h.t.Fatalf("%s still runs %v after %v", p.name, stopWithin, s)
		}
	}
}

// rows returns the supervisor's row for each pair, keyed by name, as soon as all pairs run.
func (h *host) rows(t testing.TB) map[string]control.Row {
	t.Helper()
	var rows map[string]control.Row
	eventually(t, listensWithin, "all pairs run", func() string {
		status, err := control.Client{Socket: h.socket}.Status(context.Background(), nil)
		if err != nil {
			return err.Error()
		}
		if len(status.Workers) != len(h.pairs) {
			return fmt.Sprintf("%d pairs of %d are there", len(status.Workers), len(h.pairs))
		}
		rows = make(map[string]control.Row)
		for _, w := range status.Workers {
			if w.State != control.Running {
				return fmt.Sprintf("%s is %s: %s", w.Name, w.State, w.Reason)
			}
			rows[w.Name] = w
		}
		return ""
	})
	return rows
}

// rewrite writes a pair's files again, after a change.
func (h *host) rewrite(t testing.TB, p pair, n *namespace, receiveBuffer int) {
	t.Helper()
	p.namespace, p.receiveBuffer = n.name, receiveBuffer
	p.write(t, h.files)
}

// receiveBuffers sets the receive buffers of a pair's sockets, in bytes; 0: the usual sizes. A C joold has the host's
// default from its start on.
func (h *host) receiveBuffers(t testing.TB, p pair, n *namespace, bytes int) {
	t.Helper()
	if h.kind == supervised {
		h.rewrite(t, p, n, bytes)
		if bytes > 0 {
			reload(t, h)
		}
		return
	}
	const setting = "/proc/sys/net/core/rmem_default"
	usual, err := os.ReadFile(setting)
	if err != nil {
		t.Fatal(err)
	}
	h.end(syscall.SIGTERM)
	if bytes > 0 {
		if err := os.WriteFile(setting, []byte(strconv.Itoa(bytes)), 0o644); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := os.WriteFile(setting, usual, 0o644); err != nil {
				t.Error(err)
			}
		}()
	}
	h.start()
	n.awaitListening(t, p.group, p.port, h.processes...)
}

// netsocket returns the path of a pair's netsocket file.
func (h *host) netsocket(p pair) string { return filepath.Join(h.files, p.name+".netsocket.json") }

// reload waits until a supervisor has read its directory.
func reload(t testing.TB, h *host) {
	t.Helper()
	if out, code := command(t, joolctl, "--socket", h.socket, "reload"); code != exitOK {
		t.Fatalf("joolctl reload ended with %d:\n%s", code, out)
	}
}
