package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"joolctl/cmd/internal/logging"
	"joolctl/internal/await"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	goodNetsocket = `{"multicast address": "233.252.0.64", "multicast port": "6464", "in interface": "192.0.2.1",
		"out interface": "192.0.2.1", "reuseaddr": 1}`
	// A namespace that exists on no host, so that the worker waits wherever the test runs.
	goodModsocket = `{"instance": "nat", "namespace": "joold-test-none"}`
)

// inDir changes to a new directory with these files.
func inDir(t *testing.T, netsocket, modsocket string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"netsocket.json": netsocket, "modsocket.json": modsocket} {
		if text == "" {
			continue
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestArguments(t *testing.T) {
	for _, test := range []struct {
		name, netsocket, modsocket string
		args                       []string
		code                       int
		stdout, stderr             []string
	}{
		{"help", "", "", []string{"--help"}, 0, []string{"NETSOCKET", "MODSOCKET", "STATSPORT"}, nil},
		{"version", "", "", []string{"--version"}, 0, []string{"\n"}, nil},
		{"no files", "", "", nil, 1, nil, []string{
			"joold: netsocket.json:1:1: file does not exist", "joold: modsocket.json:1:1: file does not exist"}},
		{"bad files", `{"multicast address": "192.0.2.1"}`, `{"instance": ""}`, nil, 1, nil, []string{
			"netsocket.json:1:23: multicast address: ", "multicast port: missing", "modsocket.json:1:14: instance: "}},
		{"other files", goodNetsocket, "", []string{"netsocket.json", "other.json"}, 1, nil, []string{"other.json:1:1: "}},
		{"too many", "", "", []string{"a", "b", "1", "c"}, 2, nil, []string{"at most 3"}},
		{"bad port", goodNetsocket, goodModsocket, []string{"netsocket.json", "modsocket.json", "70000"}, 2, nil,
			[]string{`joold: stats port: "70000" is out of range`}},
		{"bad flag", "", "", []string{"--port", "1"}, 2, nil, []string{"unknown flag: --port"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			inDir(t, test.netsocket, test.modsocket)
			var stdout, stderr bytes.Buffer
			// Without a problem, run would not return.
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if code := run(ctx, test.args, &stdout, &stderr); code != test.code {
				t.Errorf("code %d, want %d; stderr %s", code, test.code, stderr.String())
			}
			contains(t, "stdout", stdout.String(), test.stdout)
			contains(t, "stderr", stderr.String(), test.stderr)
		})
	}
}

func contains(t *testing.T, what, text string, parts []string) {
	t.Helper()
	if parts == nil && text != "" {
		t.Errorf("%s: %s", what, text)
	}
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s lacks %q: %s", what, part, text)
		}
	}
}

// log collects joold's output and calls back when it contains all words.
type log struct {
	mu    sync.Mutex
	text  string
	words []string
	said  func()
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text += string(b)
	for _, word := range l.words {
		if !strings.Contains(l.text, word) {
			return len(b), nil
		}
	}
	l.said()
	return len(b), nil
}

// TestWaitsAndEnds checks that joold waits for a missing item, that a requested end is no failure, and that an occupied
// stats port is logged and stops nothing else.
func TestWaitsAndEnds(t *testing.T) {
	inDir(t, goodNetsocket, goodModsocket)
	taken, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	port := fmt.Sprint(taken.LocalAddr().(*net.UDPAddr).Port)
	stderr := &log{words: []string{"waiting", "joold-test-none", "no stats server", port}, said: cancel}
	if code := run(ctx, []string{"netsocket.json", "modsocket.json", port}, nil, stderr); code != 0 {
		t.Errorf("code %d", code)
	}
	contains(t, "stderr", stderr.text, append(stderr.words, "stopped"))
}

// TestStatsPort checks that the third argument overrides the file's key.
func TestStatsPort(t *testing.T) {
	inDir(t, goodNetsocket, `{"instance": "nat", "stats port": 4000}`)
	for _, test := range []struct {
		args []string
		want uint16
	}{
		{nil, 4000},
		{[]string{"netsocket.json", "modsocket.json"}, 4000},
		{[]string{"netsocket.json", "modsocket.json", "4001"}, 4001},
		{[]string{"netsocket.json", "modsocket.json", "ntp"}, 123},
	} {
		pair, err := readArguments(test.args)
		if err != nil || !pair.OK() || pair.Spec.StatsPort != test.want {
			t.Errorf("%v: port %d, %v; want %d", test.args, pair.Spec.StatsPort, err, test.want)
		}
	}
}

// TestSwitchLevel checks that SIGUSR1 changes the log level to debug and back.
func TestSwitchLevel(t *testing.T) {
	var b bytes.Buffer
	l := logging.Open("joold", &b, new(logging.Options))
	stop := switchLevel(l)
	for _, want := range []slog.Level{slog.LevelDebug, slog.LevelInfo} {
		if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		await.Within(t, 10*time.Second, "the level is "+want.String(), func() bool { return l.Level.Level() == want })
	}
	stop()
	l.Close()
	if n := strings.Count(b.String(), "the level of the log has changed"); n != 2 {
		t.Errorf("%d lines: %s", n, b.String())
	}
}

// TestWithoutModsocket checks that joold with a netsocket file but without a modsocket file serves the instance
// "default", as upstream's joold does up to 4.1.12.
func TestWithoutModsocket(t *testing.T) {
	for _, c := range []struct {
		modsocket string
		args      []string
		instance  string // "": joold refuses to run
	}{
		{"", []string{"netsocket.json"}, "default"},
		{`{"instance": "nat"}`, []string{"netsocket.json"}, "nat"},
		{`{"instance": ""}`, []string{"netsocket.json"}, ""},
		{"", nil, ""},
		{"", []string{"netsocket.json", "modsocket.json"}, ""},
	} {
		inDir(t, goodNetsocket, c.modsocket)
		pair, err := readArguments(c.args)
		if err != nil {
			t.Fatal(err)
		}
		if pair.OK() != (c.instance != "") || pair.OK() && pair.Spec.Instance != c.instance {
			t.Errorf("joold %v with modsocket %q: %v, instance %q", c.args, c.modsocket, pair.Problems, pair.Spec.Instance)
		}
	}
}
