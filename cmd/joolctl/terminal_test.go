package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestTerminal checks that status writes colours to a terminal, unless its user has disabled them.
func TestTerminal(t *testing.T) {
	_, socket := supervised(t, map[string]string{"a": "i"})
	for _, c := range []struct {
		name     string
		env      map[string]string
		coloured bool
	}{
		{"a terminal", map[string]string{"NO_COLOR": "", "TERM": "xterm"}, true},
		{"NO_COLOR", map[string]string{"NO_COLOR": "1", "TERM": "xterm"}, false},
		{"a dumb one", map[string]string{"NO_COLOR": "", "TERM": "dumb"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for key, value := range c.env {
				t.Setenv(key, value)
			}
			screen, terminal := openTerminal(t)
			if code := run(context.Background(), []string{"status", "--socket", socket}, terminal, io.Discard); code != 0 {
				t.Errorf("code %d", code)
			}
			seen := readUntil(t, screen, "1 worker: ", 1)
			if got := bytes.Contains(seen, []byte("\x1b[32mrunning\x1b[0m")); got != c.coloured || !bytes.Contains(seen, []byte("running")) {
				t.Errorf("coloured: %v, want %v: %q", got, c.coloured, seen)
			}
		})
	}
}

// TestWatchOnATerminal checks that each screen overwrites the previous one.
func TestWatchOnATerminal(t *testing.T) {
	_, socket := supervised(t, map[string]string{"a": "i"})
	screen, terminal := openTerminal(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int)
	go func() { done <- run(ctx, []string{"status", "--watch", "--socket", socket}, terminal, io.Discard) }()
	readUntil(t, screen, clear, 2)
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("code %d", code)
	}
}

// TestTerminalIsLeftAlone checks that commands other than top write no escape sequence to their terminal. The packages
// for top that the program links must not query the terminal in their initialisation.
func TestTerminalIsLeftAlone(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	screen, terminal := openTerminal(t)
	cmd := exec.Command(self, "version")
	cmd.Env = append(os.Environ(), asProgram+"=1", "TERM=xterm-256color")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	seen := readUntil(t, screen, "tested with", 1)
	if !bytes.HasPrefix(seen, []byte("joolctl ")) || bytes.ContainsRune(seen, 0x1b) {
		t.Errorf("it wrote %q", seen)
	}
}

// readUntil reads a screen until it has shown a text that many times, and returns all that it has shown.
func readUntil(t *testing.T, screen io.Reader, text string, times int) (seen []byte) {
	t.Helper()
	b := make([]byte, 64<<10)
	for bytes.Count(seen, []byte(text)) < times { // a read may return a part of the output
		n, err := screen.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, b[:n]...)
	}
	return seen
}

// openTerminal makes a pseudo terminal. Programs write into terminal; screen returns their output.
func openTerminal(t *testing.T) (screen, terminal *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { screen.Close() })
	if err := unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return screen, terminal
}
