package main

import (
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"joolctl/internal/await"
)

// TestLogLevel changes the level of a running supervisor's log.
func TestLogLevel(t *testing.T) {
	dir, socket := t.TempDir(), filepath.Join(t.TempDir(), "s")
	writePair(t, dir, "a", "absent")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	code, log := make(chan int, 1), new(buffer)
	go func() {
		code <- run(ctx, []string{"up", dir, "--socket", socket, "--log-level", "warn", "--log-format", "json"}, io.Discard, log)
	}()
	level := func(args ...string) string {
		_, stdout, stderr := ran(append([]string{"log-level", "--socket", socket}, args...)...)
		return stdout + stderr
	}
	await.Within(t, 10*time.Second, "the supervisor answers", func() bool { return level() == "warn\n" })
	if out := level("debug"); out != "" {
		t.Errorf("joolctl log-level debug says %q", out)
	}
	if out := level(); out != "debug\n" {
		t.Errorf("the level is %q", out)
	}
	await.Within(t, 10*time.Second, "the log says that the level has changed", func() bool {
		return strings.Contains(log.String(), `"msg":"the level of the log has changed","old":"WARN","new":"DEBUG"`)
	})
	if strings.Contains(log.String(), "supervisor runs") {
		t.Errorf("the log has lines below its level: %s", log.String())
	}
	cancel()
	if c := <-code; c != exitWell {
		t.Errorf("ended with %d: %s", c, log.String())
	}
}

func TestLogLevelErrors(t *testing.T) {
	_, socket := supervised(t, map[string]string{"a": "i"})
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"log-level loud", 2, `there is no level "loud"; write debug, info, warn or error`},
		{"log-level debug", 1, "the level of this supervisor's log cannot be changed"},
		{"log-level", 1, "the level of this supervisor's log cannot be changed"},
		{"up --log-level loud", 2, `there is no level "loud"`},
		{"up --log-format xml", 2, `there is no format "xml"; write auto, text, json or journal`},
	} {
		if code, _, stderr := ran(append(strings.Fields(c.args), "--socket", socket)...); code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("joolctl %s: code %d, %q, want %d, %q", c.args, code, stderr, c.code, c.want)
		}
	}
}
