package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"joolctl/internal/await"
)

// TestMetrics prints the metrics of a supervisor, and writes them to a file.
func TestMetrics(t *testing.T) {
	_, socket := supervised(t, map[string]string{"a": "i", "b": "absent"})
	for _, c := range []struct{ args, want, not string }{
		{"metrics", `joolctl_pair_state{pair="b",state="waiting"} 1`, "jool_sessions"},
		{"metrics", `joolctl_build_info{version="`, "# EOF"},
		{"metrics --module", `joolctl_module_answered{pair="a"} 0`, "# EOF"},
		{"metrics -o openmetrics", "# EOF\n", "jool_sessions"},
	} {
		code, stdout, stderr := ran(append(strings.Fields(c.args), "--socket", socket)...)
		if code != 0 || stderr != "" || !strings.Contains(stdout, c.want) || strings.Contains(stdout, c.not) {
			t.Errorf("joolctl %s: code %d, stderr %q, %d bytes of output, want %q and no %q", c.args, code, stderr, len(stdout), c.want, c.not)
		}
	}

	dir := t.TempDir()
	file := filepath.Join(dir, "joolctl.prom")
	for range 2 {
		if code, stdout, stderr := ran("metrics", "write", file, "--socket", socket); code != 0 || stdout+stderr != "" {
			t.Errorf("code %d, output %q %q", code, stdout, stderr)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), "joolctl_pairs 2\n") {
		t.Errorf("%v: %s", err, text)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if code, _, stderr := ran("metrics", "write", file, "--socket", filepath.Join(dir, "none")); code != 3 || !strings.Contains(stderr, "no supervisor answers") {
		t.Errorf("without a supervisor: code %d, %q", code, stderr)
	}
	if again, err := os.ReadFile(file); err != nil || string(again) != string(text) {
		t.Errorf("without a supervisor the file has changed: %v", err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("files are left over: %v, %v", files, err)
	}
	missing := filepath.Join(dir, "missing", "x.prom")
	if code, _, stderr := ran("metrics", "write", missing, "--socket", socket); code != 1 || !strings.Contains(stderr, "writing "+missing) || !strings.Contains(stderr, "choose a directory that exists") {
		t.Errorf("code %d, %q", code, stderr)
	}
}

// TestMetricsFlags checks the errors about invalid flags.
func TestMetricsFlags(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"up --metrics localhost", `--metrics "localhost" is not an address`},
		{"up --metrics=", `--metrics "" is not an address`},
		{"up --metrics-module", "--metrics-module needs --metrics"},
		{"metrics -o json", `there is no output "json"; write prometheus or openmetrics`},
		{"metrics write", "accepts 1 arg(s), received 0"},
	} {
		if code, _, stderr := ran(strings.Fields(c.args)...); code != 2 || !strings.Contains(stderr, c.want) {
			t.Errorf("joolctl %s: code %d, %q, want %q", c.args, code, stderr, c.want)
		}
	}
}

// TestUpServes checks that `joolctl up` serves metrics on a Unix socket until it ends.
func TestUpServes(t *testing.T) {
	dir, sockets := t.TempDir(), t.TempDir()
	writePair(t, dir, "a", "absent")
	control, socket := filepath.Join(sockets, "s"), filepath.Join(sockets, "metrics")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	code, log := make(chan int, 1), new(bytes.Buffer)
	go func() {
		code <- run(ctx, []string{"up", dir, "--socket", control, "--metrics", "unix:" + socket, "--metrics-module"}, io.Discard, log)
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	get := func(path string) (code int, body string) {
		r, err := client.Get("http://joolctl" + path)
		if err != nil {
			return 0, ""
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		return r.StatusCode, string(b)
	}
	await.Within(t, 10*time.Second, "metrics are served", func() bool { code, _ := get("/healthz"); return code == http.StatusOK })
	if code, body := get("/metrics"); code != http.StatusOK || !strings.Contains(body, `joolctl_module_answered{pair="a"} 0`) {
		t.Errorf("metrics: %d %s", code, body)
	}
	if code, body := get("/readyz"); code != http.StatusServiceUnavailable || !strings.HasPrefix(body, "a: it is waiting, not running: ") {
		t.Errorf("readyz: %d %s", code, body)
	}
	cancel()
	if c := <-code; c != exitWell {
		t.Errorf("ended with %d: %s", c, log)
	}
	if _, err := os.Stat(socket); err == nil {
		t.Error("the socket is left over")
	}
}
