package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"joolctl/internal/await"
	"joolctl/internal/debianprogram"
)

// tmux is a real terminal in which joolctl runs.
type tmux struct {
	t               *testing.T
	program, socket string
}

// newTerminal starts a command line of joolctl in a terminal of tmux. Its exit status is on the screen after it has
// ended.
func newTerminal(t *testing.T, env string, args ...string) tmux {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	term := tmux{t, debianprogram.Path(t, "tmux", "tmux"), filepath.Join(t.TempDir(), "tmux")}
	command := env + " " + asProgram + "=1 " + self + " " + strings.Join(args, " ") + "; echo exit status $?; exec cat"
	term.does("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", command)
	t.Cleanup(func() { term.does("kill-server") })
	return term
}

// does makes tmux execute a command, and returns the output.
func (term tmux) does(args ...string) string {
	term.t.Helper()
	cmd := exec.Command(term.program, append([]string{"-u", "-S", term.socket}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		term.t.Fatalf("tmux %q: %v: %s", args, err, out)
	}
	return string(out)
}

func (term tmux) press(keys ...string) {
	term.t.Helper()
	term.does(append([]string{"send-keys"}, keys...)...)
}

// shows waits until the screen contains all of the texts.
func (term tmux) shows(texts ...string) {
	term.t.Helper()
	screen := ""
	defer func() {
		if term.t.Failed() {
			term.t.Logf("the screen:\n%s", screen)
		}
	}()
	await.Within(term.t, 30*time.Second, "the screen shows "+strings.Join(texts, ", "), func() bool {
		screen = term.does("capture-pane", "-p")
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				return false
			}
		}
		return true
	})
}

// hides waits until the screen no longer contains a text.
func (term tmux) hides(text string) {
	term.t.Helper()
	await.Within(term.t, 30*time.Second, "the screen does not show "+text, func() bool {
		return !strings.Contains(term.does("capture-pane", "-p"), text)
	})
}

// TestTopOnATerminal presses keys, resizes the terminal, and stops and starts the supervisor.
func TestTopOnATerminal(t *testing.T) {
	dir, socket := supervised(t, map[string]string{"a": "i1", "b": "absent", "c": "i3"})
	term := newTerminal(t, "NO_COLOR=", "top", "--interval", "200ms", "--socket", socket)
	term.shows("joolctl top  3 workers: 2 running, 1 waiting  by severity", "> b", "jool instance add absent", "q quit")
	if screen := term.does("capture-pane", "-p", "-e"); !strings.Contains(screen, "\x1b[32mrunning") {
		t.Errorf("no colours: %q", screen)
	}
	term.press("n", "Down", "Down")
	term.shows("by name", "> c")
	term.press("Enter")
	term.shows("joolctl top  c", "INSTANCE i3", "esc back")
	term.press("Escape")
	term.shows("> c")
	term.does("resize-window", "-x", "140", "-y", "30")
	term.shows("INSTANCE", "SINCE")
	term.does("resize-window", "-x", "80", "-y", "24")
	term.hides("INSTANCE")
	if code, _, stderr := ran("down", "--socket", socket); code != 0 {
		t.Fatal(stderr)
	}
	term.shows("The rows are ", "no supervisor answers", "> c")
	supervise(t, dir, socket)
	term.hides("no supervisor answers")
	term.shows("> c", "running")
	term.press("q")
	term.shows("exit status 0")
	term.hides("joolctl top")
}

// TestWaitOnATerminal checks that ready --wait shows why it waits, and removes that text when it ends.
func TestWaitOnATerminal(t *testing.T) {
	_, socket := supervised(t, map[string]string{"a": "i", "b": "absent"})
	term := newTerminal(t, "TERM=xterm", "ready", "--all", "--wait", "4s", "--socket", socket)
	term.shows("2s  waiting for b: it is waiting, not running")
	term.shows("exit status 1", "\nb: it is waiting, not running: instance")
	term.hides("waiting for b")
}

// TestTopWithoutColours runs top with NO_COLOR, and ends it with ctrl-c.
func TestTopWithoutColours(t *testing.T) {
	_, socket := supervised(t, map[string]string{"a": "i"})
	term := newTerminal(t, "NO_COLOR=1", "top", "--socket", socket)
	term.shows("> a", "running")
	if screen := term.does("capture-pane", "-p", "-e"); strings.Contains(screen, "\x1b[") {
		t.Errorf("colours: %q", screen)
	}
	term.press("C-c")
	term.shows("exit status 0")
}

// TestTopOnADumbTerminal checks that top prints tables on a terminal without cursor control.
func TestTopOnADumbTerminal(t *testing.T) {
	_, socket := supervised(t, map[string]string{"a": "i"})
	term := newTerminal(t, "TERM=dumb", "top", "--interval", "200ms", "--socket", socket)
	term.shows("1 worker: 1 running\n\nNAME")
}

// TestTopLines checks that top prints tables if the output is not a terminal.
func TestTopLines(t *testing.T) {
	_, socket := supervised(t, map[string]string{"a": "i", "b": "absent"})
	ctx, cancel := context.WithCancel(context.Background())
	var out, stderr bytes.Buffer
	tables := writerFunc(func(b []byte) {
		out.Write(b)
		if strings.Count(out.String(), "INSTANCE") == 2 {
			cancel()
		}
	})
	if code := run(ctx, []string{"top", "--interval", "200ms", "--socket", socket}, tables, &stderr); code != 0 || stderr.Len() > 0 {
		t.Errorf("code %d, stderr %s", code, stderr.String())
	}
	if text := out.String(); strings.Index(text, "\nb") > strings.Index(text, "\na") || strings.Contains(text, "\x1b") {
		t.Errorf("tables:\n%s", text)
	}
}

func TestTopUsage(t *testing.T) {
	for _, test := range []struct{ args, stderr string }{
		{"top --sort age", "joolctl: there is no order \"age\"; write name, severity, rates, lag or sessions; see `joolctl --help`\n"},
		{"top --interval 1ms", "joolctl: --interval 1ms is too short; write 200ms or more; see `joolctl --help`\n"},
	} {
		if code, _, stderr := ran(strings.Fields(test.args)...); code != exitUsage || stderr != test.stderr {
			t.Errorf("joolctl %s: code %d, stderr %q; want %q", test.args, code, stderr, test.stderr)
		}
	}
}
