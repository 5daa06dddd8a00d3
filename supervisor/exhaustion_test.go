package supervisor

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/configdir"
	"joolctl/internal/await"
	"joolctl/nsthread"
	"joolctl/nsthread/nstest"
	"joolctl/worker"
	"joolctl/worker/workertest"
)

const (
	// exhaustedIn makes this test binary run a supervisor for the directory in this environment variable.
	exhaustedIn = "JOOLCTL_TEST_EXHAUSTED_IN"
	// few descriptors are enough for some of the pairs, many for all of them.
	few, many = 80, 1000
	pairs     = 30
)

// TestExhaustion runs a supervisor with too few descriptors for its pairs. Some pairs must run, the others must name the
// limit to raise, and status must answer. After the limit is raised, all pairs must run.
func TestExhaustion(t *testing.T) {
	if dir := os.Getenv(exhaustedIn); dir != "" {
		exhaustedSupervisor(t, dir)
		return
	}
	nstest.Need(t)
	e := startExhausted(t)
	e.settle("some run", func(running, short int) bool { return running > 0 && short > 0 && running+short == pairs })
	e.order("fill")
	e.checkAnswers()
	e.order("raise")
	e.settle("all run", func(running, _ int) bool { return running == pairs })
}

// exhaustedProcess is a process with a supervisor that has too few descriptors.
type exhaustedProcess struct {
	t      *testing.T
	dir    string
	client Client
	stdin  io.Writer
}

// startExhausted starts the process, which ends with the test.
func startExhausted(t *testing.T) *exhaustedProcess {
	t.Helper()
	e := &exhaustedProcess{t: t, dir: t.TempDir()}
	e.client = Client{Socket: filepath.Join(e.dir, "s")}
	for i := range pairs {
		write(t, e.dir, fmt.Sprintf("p%d", i), files{group: fmt.Sprint(i + 1), instance: fmt.Sprintf("nat%d", i), link: "lo"})
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestExhaustion$", "-test.v")
	cmd.Env = append(os.Environ(), exhaustedIn+"="+e.dir)
	said := new(strings.Builder)
	cmd.Stdout, cmd.Stderr = said, said
	stdin, err := cmd.StdinPipe()
	must(t, err)
	e.stdin = stdin
	must(t, cmd.Start())
	t.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v\n%s", err, said)
		}
	})
	return e
}

// order sends a line to the process, and waits until the process has carried it out.
func (e *exhaustedProcess) order(what string) {
	e.t.Helper()
	_, err := io.WriteString(e.stdin, what+"\n")
	must(e.t, err)
	await.Within(e.t, 10*time.Second, what, func() bool {
		_, err := os.Stat(filepath.Join(e.dir, what))
		return err == nil
	})
}

// settle waits until all pairs run or are short of descriptors, and a condition holds for the numbers of both.
func (e *exhaustedProcess) settle(what string, holds func(running, short int) bool) {
	e.t.Helper()
	await.Right(e.t, 20*time.Second, what, func() string {
		running, short, other := e.count()
		if other == "" && holds(running, short) {
			return ""
		}
		return fmt.Sprintf("%d run, %d are short of descriptors; %s", running, short, other)
	})
}

// count counts the pairs that run, and those whose reason names the limit to raise. It also describes one of the others.
func (e *exhaustedProcess) count() (running, short int, other string) {
	status, err := e.client.Status(context.Background(), nil)
	if err != nil {
		return 0, 0, err.Error()
	}
	remedy := fmt.Sprintf("as many open files as it may have, %d; raise LimitNOFILE=", few)
	for _, w := range status.Workers {
		switch {
		case w.State == Running:
			running++
		case w.State == Backoff && strings.Contains(w.Reason, remedy):
			short++
		default:
			other = fmt.Sprintf("%s is %s: %s", w.Name, w.State, w.Reason)
		}
	}
	return running, short, other
}

// checkAnswers checks that sequential and concurrent requests are all answered without delay.
func (e *exhaustedProcess) checkAnswers() {
	e.t.Helper()
	for range 20 {
		answers := make(chan error, 4)
		for range cap(answers) {
			go func() {
				begin := time.Now()
				_, err := e.client.Status(context.Background(), nil)
				if took := time.Since(begin); err == nil && took > 2*time.Second {
					err = fmt.Errorf("an answer took %v", took)
				}
				answers <- err
			}()
		}
		for range cap(answers) {
			must(e.t, <-answers)
		}
	}
}

// exhaustedSupervisor runs a supervisor until stdin ends. The line "fill" makes it open all remaining descriptors;
// "raise" raises the limit.
func exhaustedSupervisor(t *testing.T, dir string) {
	limit := func(n uint64) {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: many}); err != nil {
			t.Error(err)
		}
	}
	kernel := workertest.NewKernel(0x04010f00)
	for i := range pairs {
		kernel.Add(t, "", fmt.Sprintf("nat%d", i))
	}
	env := worker.Env{Threads: nsthread.NewPool(), Kernel: kernel}
	s := New(Options{
		Dir: dir, Socket: filepath.Join(dir, "s"),
		NewWorker: func(spec configdir.Spec, counters *worker.Counters) Worker {
			return worker.New(spec, env, counters)
		},
	})
	limit(few)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if lines.Text() == "fill" {
			for fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC); err == nil; fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC) {
				defer unix.Close(fd)
			}
		} else {
			limit(many)
		}
		if err := os.Mkdir(filepath.Join(dir, lines.Text()), 0o755); err != nil { // needs no descriptor
			t.Error(err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
