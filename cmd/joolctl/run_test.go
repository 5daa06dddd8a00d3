package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"joolctl/configdir"
	"joolctl/eventlog"
	"joolctl/internal/golden"
	"joolctl/joolnl"
	"joolctl/replication"
	"joolctl/supervisor"
	"joolctl/syncwire"
	"joolctl/worker"
)

// asProgram is an environment variable that makes the test binary run as joolctl, for tests that need a separate
// process.
const asProgram = "JOOLCTL_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}

// fake is a worker that runs, unless its instance is "absent".
type fake struct {
	supervisor.Worker
	spec configdir.Spec
}

func (f fake) Run(ctx context.Context, ready func()) error {
	if f.spec.Instance == "absent" {
		return &worker.Missing{What: `instance "absent" does not exist`, Fix: "jool instance add absent"}
	}
	ready()
	<-ctx.Done()
	return nil
}

func (f fake) Reconfigure(configdir.Spec) error { return nil }
func (f fake) Rename(string)                    {}
func (f fake) Peers() []replication.PeerInfo    { return nil }
func (f fake) ModuleVersion() string            { return "" }
func (f fake) Turns() uint64                    { return uint64(time.Now().UnixNano()) }

// Sync returns the state of a complete worker that has advertised. For the instance "new", the table has been incomplete
// for half an hour.
func (f fake) Sync() worker.SyncState {
	if f.spec.Instance == "new" {
		return worker.SyncState{Answered: time.Now(), Phase: "receiving", Done: 63, Total: 100,
			IncompleteSince: time.Now().Add(-30 * time.Minute)}
	}
	return worker.SyncState{Synced: syncwire.SyncYes, Answered: time.Now(), Advertise: &replication.Advertise{Sent: 40000, Total: 40000, Ended: true}}
}

func (f fake) KernelStats(context.Context) (map[string]uint64, error) {
	return map[string]uint64{}, nil
}

func (f fake) ModuleCounters(context.Context) (*joolnl.ModuleCounters, error) {
	return nil, errors.New("there is no module")
}

func (f fake) Advertise(context.Context) (replication.Advertise, error) {
	if f.spec.Instance == "busy" {
		return replication.Advertise{}, errors.New("it is advertising already, 1 of 2 sessions sent, 4000 a second; wait for that to end")
	}
	return replication.Advertise{Total: 40000, Rate: f.spec.AdvertiseRate}, nil
}

// supervised runs a supervisor with fake workers for pairs, given as name and
// instance, and returns its directory and socket.
func supervised(t *testing.T, pairs map[string]string) (dir, socket string) {
	t.Helper()
	dir, socket = t.TempDir(), filepath.Join(t.TempDir(), "s")
	for name, instance := range pairs {
		writePair(t, dir, name, instance)
	}
	supervise(t, dir, socket)
	return dir, socket
}

// supervise runs a supervisor with fake workers for the pairs of a directory.
func supervise(t *testing.T, dir, socket string) {
	t.Helper()
	ready, done := make(chan struct{}), make(chan error, 1)
	var once sync.Once
	s := supervisor.New(supervisor.Options{
		Dir: dir, Socket: socket, Version: "1.2.3", EventLog: eventlog.New(time.Now()),
		NewWorker: func(spec configdir.Spec, _ *worker.Counters) supervisor.Worker { return fake{spec: spec} },
		Metrics:   func(s *supervisor.Supervisor) http.Handler { return exporterOf(s, false) },
		Notify: func(message string) {
			if strings.Contains(message, "READY=1") {
				once.Do(func() { close(ready) })
			}
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	go func() { done <- s.Run(ctx) }()
	<-ready
	if _, err := s.Reload(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Restart(ctx, nil, true); err != nil { // returns when every worker has a state
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

var groups int

func writePair(t *testing.T, dir, name, instance string) {
	t.Helper()
	groups++
	net := fmt.Sprintf(`{"multicast address": "233.252.%d.%d", "multicast port": "6464", "reuseaddr": 1}`, groups/256, groups%256)
	mod := fmt.Sprintf(`{"instance": %q}`, instance)
	for file, text := range map[string]string{"netsocket": net, "modsocket": mod} {
		if err := os.WriteFile(filepath.Join(dir, name+"."+file+".json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// ran runs the program and returns its output.
func ran(args ...string) (code int, stdout, stderr string) {
	var out, problems bytes.Buffer
	code = run(context.Background(), args, &out, &problems)
	return code, out.String(), problems.String()
}

func TestUsage(t *testing.T) {
	t.Setenv(socketEnv, filepath.Join(t.TempDir(), "none"))
	for _, test := range []struct {
		args   string
		code   int
		stderr string
	}{
		{"", 2, "joolctl: name a command; see `joolctl --help`\n"},
		{"statsu", 2, "joolctl: unknown command \"statsu\" for \"joolctl\"; see `joolctl --help`\n"},
		{"status --nothing", 2, "joolctl: unknown flag: --nothing; see `joolctl --help`\n"},
		{"status -o xml", 2, "joolctl: there is no output \"xml\"; write table, wide or json; see `joolctl --help`\n"},
		{"restart", 2, "joolctl: name the pairs, or say --all; see `joolctl --help`\n"},
		{"advertise a --all", 2, "joolctl: name pairs or say --all, not both; see `joolctl --help`\n"},
		{"up a b", 2, "joolctl: accepts at most 1 arg(s), received 2; see `joolctl --help`\n"},
		{"down now", 2, "joolctl: unknown command \"now\" for \"joolctl down\"; see `joolctl --help`\n"},
		{"--help", 0, ""},
		{"status --help", 0, ""},
		{"version", 0, ""},
		{"--version", 0, ""},
		{"completion bash", 0, ""},
		{"check /nonexistent/dir", 1, "joolctl: cannot read directory /nonexistent/dir: no such file or directory; create it with: mkdir -p /nonexistent/dir\n"},
	} {
		code, stdout, stderr := ran(strings.Fields(test.args)...)
		if code != test.code || stderr != test.stderr {
			t.Errorf("joolctl %s: code %d, stderr %q; want %d, %q", test.args, code, stderr, test.code, test.stderr)
		}
		if (code == 0) != (stdout != "") {
			t.Errorf("joolctl %s: stdout %q", test.args, stdout)
		}
	}
}

func TestNoSupervisor(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "none")
	t.Setenv(socketEnv, socket)
	for _, args := range []string{"status", "status -w", "top", "advertise --all", "restart a", "reload", "down"} {
		code, stdout, stderr := ran(strings.Fields(args)...)
		if code != 3 || stdout != "" || !strings.Contains(stderr, socket) || !strings.Contains(stderr, "joolctl up DIR") ||
			strings.Count(stderr, "\n") != 1 {
			t.Errorf("joolctl %s: code %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
}

func TestStatus(t *testing.T) {
	_, socket := supervised(t, map[string]string{"p2": "i2", "p10": "i10", "p1": "i1"})
	code, stdout, stderr := ran("status", "--socket", socket)
	if code != 0 || stderr != "" {
		t.Errorf("code %d, stderr %s", code, stderr)
	}
	var names []string
	for line := range strings.Lines(stdout) {
		names = append(names, strings.Fields(line + " -")[0])
	}
	if got := strings.Join(names, " "); got != "NAME p1 p2 p10 - 3" {
		t.Errorf("first column %q of:\n%s", got, stdout)
	}
	code, _, stderr = ran("status", "p2", "p3", "--socket", socket)
	if want := "joolctl: there is no pair \"p3\"; known are: p1, p2, p10\n"; code != 1 || stderr != want {
		t.Errorf("unknown name: code %d, stderr %q, want %q", code, stderr, want)
	}
}

func TestStatusNotWell(t *testing.T) {
	_, socket := supervised(t, map[string]string{"a": "i", "b": "absent"})
	code, stdout, _ := ran("status", "--socket", socket)
	if want := `b: instance "absent" does not exist; type: jool instance add absent`; code != 1 || !strings.Contains(stdout, want) {
		t.Errorf("code %d, stdout %s", code, stdout)
	}
	if code, _, _ := ran("status", "a", "--socket", socket); code != 0 {
		t.Errorf("of the one that runs: code %d", code)
	}
}

func TestStatusWatch(t *testing.T) {
	_, socket := supervised(t, map[string]string{"a": "i"})
	ctx, cancel := context.WithCancel(context.Background())
	var stderr bytes.Buffer
	out := writerFunc(func(b []byte) { cancel() })
	if code := run(ctx, []string{"status", "--watch", "--socket", socket}, out, &stderr); code != 0 || stderr.Len() > 0 {
		t.Errorf("code %d, stderr %s", code, stderr.String())
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) { f(b); return len(b), nil }

func TestAdvertiseAndRestart(t *testing.T) {
	_, socket := supervised(t, map[string]string{"a": "i", "b": "absent", "c": "busy"})
	for _, test := range []struct {
		args           string
		code           int
		stdout, stderr string
	}{
		{"advertise a", 0, "a: advertising 40000 sessions at 4000 a second\n", ""},
		{"advertise a --wait", 0, "a: advertising 40000 sessions at 4000 a second\na: sent 40000 sessions\n", ""},
		{"advertise --all", 1, "a: advertising 40000 sessions at 4000 a second\n", "joolctl: b: it is waiting, not running: instance \"absent\" does not exist; " +
			"type: jool instance add absent\njoolctl: c: it is advertising already, 1 of 2 sessions sent, 4000 a second; wait for that to end\n"},
		{"restart a c", 0, "a: restarted\nc: restarted\n", ""},
		{"restart --all", 1, "a: restarted\nc: restarted\n", "joolctl: b: it is waiting, not running: instance \"absent\" does not exist; " +
			"type: jool instance add absent\n"},
		{"restart x", 1, "", "joolctl: there is no pair \"x\"; known are: a, b, c\n"},
	} {
		code, stdout, stderr := ran(append(strings.Fields(test.args), "--socket", socket)...)
		if code != test.code || stdout != test.stdout || stderr != test.stderr {
			t.Errorf("joolctl %s: code %d, stdout %q, stderr %q; want %d, %q, %q",
				test.args, code, stdout, stderr, test.code, test.stdout, test.stderr)
		}
	}
}

func TestReload(t *testing.T) {
	dir, socket := supervised(t, map[string]string{"a": "i"})
	code, stdout, stderr := ran("reload", "--socket", socket)
	if code != 0 || stdout != "nothing has changed\n" || stderr != "" {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	writePair(t, dir, "b", "absent")
	if err := os.WriteFile(filepath.Join(dir, "a.netsocket.json"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr = ran("reload", "--socket", socket)
	if want := "b: started, now waiting: instance \"absent\" does not exist; type: jool instance add absent\n"; code != 1 || stdout != want {
		t.Errorf("code %d, stdout %q, want %q", code, stdout, want)
	}
	if want := "joolctl: a: refused, it stays running: " + dir + "/a.netsocket.json:1:1: "; !strings.HasPrefix(stderr, want) {
		t.Errorf("stderr %q, want %q", stderr, want)
	}
}

func TestDown(t *testing.T) {
	_, socket := supervised(t, map[string]string{"a": "i"})
	if code, stdout, stderr := ran("down", "--socket", socket); code != 0 || stdout+stderr != "" {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	if code, _, _ := ran("status", "--socket", socket); code != 3 {
		t.Errorf("status after it: code %d", code)
	}
}

func TestCompletion(t *testing.T) {
	_, socket := supervised(t, map[string]string{"blue": "i1", "black": "i2", "red": "i3"})
	code, stdout, _ := ran("__complete", "status", "--socket", socket, "black", "bl")
	if code != 0 || !strings.HasPrefix(stdout, "blue\n:4") {
		t.Errorf("code %d, stdout %q", code, stdout)
	}
}

func TestCheck(t *testing.T) {
	t.Chdir("testdata")
	code, stdout, stderr := ran("check", "check")
	if code != 1 || stderr != "" {
		t.Errorf("code %d, stderr %s", code, stderr)
	}
	t.Chdir("..")
	golden.Compare(t, "check", stdout)
}

// TestUp runs the command `joolctl up` itself, on a missing directory and on an empty one.
func TestUp(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	code, _, stderr := ran("up", filepath.Join(t.TempDir(), "none"), "--socket", socket)
	if code != 1 || !strings.Contains(stderr, "mkdir -p") {
		t.Errorf("without a directory: code %d, stderr %s", code, stderr)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var out bytes.Buffer
	log := writerFunc(func(b []byte) {
		if strings.Contains(string(b), "supervisor runs") {
			cancel()
		}
	})
	if code := run(ctx, []string{"up", t.TempDir(), "--socket", socket}, &out, log); code != 0 || out.Len() > 0 {
		t.Errorf("code %d, stdout %s", code, out.String())
	}
}

// TestStatusWatchGoesOn checks that the second screen follows one period later, after an empty line if the output is not
// a terminal.
func TestStatusWatchGoesOn(t *testing.T) {
	_, socket := supervised(t, map[string]string{"a": "i"})
	ctx, cancel := context.WithCancel(context.Background())
	var out bytes.Buffer
	screens := writerFunc(func(b []byte) {
		out.Write(b)
		if strings.Count(out.String(), "INSTANCE") == 2 {
			cancel()
		}
	})
	if code := run(ctx, []string{"status", "--watch", "--socket", socket}, screens, io.Discard); code != 0 {
		t.Errorf("code %d", code)
	}
	first, second, ok := strings.Cut(out.String(), "\n\nNAME")
	if !ok || !strings.HasPrefix(first, "NAME") || !strings.Contains(second, "running") {
		t.Errorf("screens:\n%s", out.String())
	}
}
