package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/e2e/lab/labtest"
)

// TestShellOfPipe runs the shell with its input from a pipe.
func TestShellOfPipe(t *testing.T) {
	l := labtest.Prepare(t)
	cmd := labCommand(t, "shell", "-jool", l.Oldest())
	cmd.Stdin = strings.NewReader("jool --version\nwhich joolctl joold ip tcpdump\nexit 3\necho not reached\n")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 3 {
		t.Errorf("%v, want exit status 3; %s", err, &stderr)
	}
	if want := l.Oldest() + ".0\n/p/joolctl\n/p/joold\n/usr/bin/ip\n/usr/bin/tcpdump\n"; string(out) != want {
		t.Errorf("output %q, want %q", out, want)
	}
}

// TestShellOfTerminal types into the shell on a terminal, beside two NAT64s.
func TestShellOfTerminal(t *testing.T) {
	l := labtest.Prepare(t)
	near, far := openTerminal(t)
	cmd := labCommand(t, "shell", "-topology")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = far, far, far
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	far.Close()
	t.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGTERM) }) // it has ended unless the test failed
	screen := screenOf(near)
	for _, step := range []struct{ await, input string }{
		{"# ", "jool --version; stty size </dev/tty\n"},
		{l.Newest() + ".0\r\n33 99\r\n", ""},
		{"# ", "sh -c 'echo begun; exec sleep 1000'\n"}, // ^C must not come before the shell has given the terminal away
		{"begun\r\n", "\x03"},
		{"# ", "echo status $?\n"},
		{"status 130\r\n", "ip netns exec t1-J jool -i nat global display | grep -o 64:ff9b::/96; exit 4\n"},
		{"64:ff9b::/96\r\n", ""},
	} {
		screen.await(t, step.await)
		if _, err := near.WriteString(step.input); err != nil {
			t.Fatal(err)
		}
	}
	err := cmd.Wait()
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 4 {
		t.Errorf("%v, want exit status 4; the terminal shows:\n%s", err, screen.shown)
	}
}

// openTerminal opens both ends of a terminal of 33 lines.
func openTerminal(t *testing.T) (near, far *os.File) {
	t.Helper()
	near, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	fd := int(near.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 33, Col: 99})
	}
	if err == nil {
		far, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return near, far
}

// screen collects the output of a terminal.
type screen struct {
	typed chan []byte // the output, piece by piece; closed at the terminal's end
	shown string
	found int // where the text that was found last ends
}

// screenOf reads from a terminal until its end.
func screenOf(terminal *os.File) *screen {
	s := &screen{typed: make(chan []byte)}
	go func() {
		defer close(s.typed)
		for {
			b := make([]byte, 4096)
			n, err := terminal.Read(b)
			if err != nil {
				return
			}
			s.typed <- b[:n]
		}
	}()
	return s
}

// shownWithin is how long a machine may take to boot, and its shell to answer, on a busy host.
const shownWithin = 3 * time.Minute

// await reads until the terminal shows a text behind the one that was found last.
func (s *screen) await(t *testing.T, text string) {
	t.Helper()
	late := time.After(shownWithin)
	for {
		if at := strings.Index(s.shown[s.found:], text); at >= 0 {
			s.found += at + len(text)
			return
		}
		select {
		case b, ok := <-s.typed:
			if !ok {
				t.Fatalf("the terminal ended before %q; it shows:\n%s", text, s.shown)
			}
			s.shown += string(b)
		case <-late:
			t.Fatalf("no %q within %v; the terminal shows:\n%s", text, shownWithin, s.shown)
		}
	}
}
