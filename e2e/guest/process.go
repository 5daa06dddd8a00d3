package guest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a running program.
type process struct {
	name  string
	cmd   *exec.Cmd
	log   logBuffer
	ended chan struct{}
	err   error // once it has ended
}

// logBuffer keeps a program's output.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start starts a program, inside n unless n is nil. The program is killed when the test ends, and its output is printed
// if the test has failed.
func start(t testing.TB, n *namespace, args ...string) *process {
	t.Helper()
	return startWith(t, n, func(*exec.Cmd) {}, args...)
}

// startMuted is start, but writes the program's output to the file out unless that is nil.
func startMuted(t testing.TB, n *namespace, out *os.File, args ...string) *process {
	t.Helper()
	return startWith(t, n, func(cmd *exec.Cmd) {
		if out != nil {
			cmd.Stdout, cmd.Stderr = out, out
		}
	}, args...)
}

// startWith is start for a program that gets more than arguments.
func startWith(t testing.TB, n *namespace, prepare func(*exec.Cmd), args ...string) *process {
	t.Helper()
	p := &process{name: strings.Join(args, " "), ended: make(chan struct{})}
	p.cmd = exec.Command(args[0], args[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	prepare(p.cmd)
	if n != nil {
		p.name = n.name + ": " + p.name
		n.do(t, p.cmd.Start)
	} else if err := p.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", p.name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("output of %s:\n%s", p.name, p.log.String())
		}
	})
	return p
}

// kill ends the program the hard way.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// running fails the test if the program has ended.
func (p *process) running(t testing.TB) {
	t.Helper()
	select {
	case <-p.ended:
		t.Fatalf("%s has ended: %v", p.name, p.err)
	default:
	}
}

// hasOne reports whether the program has one of some sockets, by their inodes.
func (p *process) hasOne(inodes []string) bool {
	descriptors := fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid)
	entries, _ := os.ReadDir(descriptors) // of a program that has ended: none
	for _, e := range entries {
		file, _ := os.Readlink(filepath.Join(descriptors, e.Name())) // it may be closed by now
		inode, is := strings.CutPrefix(strings.TrimSuffix(file, "]"), "socket:[")
		if is && slices.Contains(inodes, inode) {
			return true
		}
	}
	return false
}

// stopWithin is how long a program of ours may take to end after SIGTERM: 2 s,
// but in a machine that is many times slower than the host, on a busy host.
const stopWithin = 10 * time.Second

// stop ends a program of this project by SIGTERM. It must exit with status 0 in time.
func (p *process) stop(t testing.TB) {
	t.Helper()
	p.running(t)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Fatal(err)
	}
	select {
	case <-p.ended:
		if p.err != nil {
			t.Errorf("%s after SIGTERM: %v, want exit status 0", p.name, p.err)
		}
	case <-time.After(stopWithin):
		t.Errorf("%s still runs %v after SIGTERM", p.name, stopWithin)
	}
}
