package supervisor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"joolctl/nsthread"
	"joolctl/timerslack"
	"joolctl/worker"
	"joolctl/worker/workertest"
)

// apartDir and apartKernel are environment variables of a child process that runs only a supervisor.
const (
	apartDir    = "JOOLCTL_TEST_APART_DIR"
	apartKernel = "JOOLCTL_TEST_APART_KERNEL"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(apartDir); dir != "" {
		if err := beApart(dir, workertest.Remote(os.Getenv(apartKernel))); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// beApart runs `joolctl up` against the fake kernel of the parent process until stdin ends. It writes a line to stdout
// as soon as all pairs run.
func beApart(dir string, kernel worker.Kernel) error {
	if err := timerslack.Coarsen(); err != nil {
		return err
	}
	timerslack.RaiseProcessors()
	debug.SetGCPercent(50) // as joolctl does
	opt := realOptions(dir, worker.Env{Threads: nsthread.NewPool(), Kernel: kernel})
	opt.Watch = func(ctx context.Context, dir string, changed func(), calm func() bool) {
		Watch(ctx, nil, dir, changed, calm)
	}
	told := false
	opt.Notify = func(message string) {
		var all, running int
		if at := strings.Index(message, "STATUS="); at >= 0 && !told {
			if _, err := fmt.Sscanf(message[at:], "STATUS=%d workers: %d running", &all, &running); err == nil && all > 0 && running == all {
				told = true
				fmt.Println("all run")
			}
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return New(opt).Run(ctx)
}

// apartProcess is a supervisor in a process of its own.
type apartProcess struct {
	cmd *exec.Cmd
}

// startApart starts the process and waits until all pairs run.
func startApart(t testing.TB, dir string, kernel *workertest.Kernel) *apartProcess {
	t.Helper()
	a := &apartProcess{cmd: exec.Command("/proc/self/exe")}
	a.cmd.Env = append(os.Environ(), apartDir+"="+dir, apartKernel+"="+kernel.Serve(t))
	a.cmd.Stderr = os.Stderr
	in, err := a.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := a.cmd.Wait(); err != nil {
			t.Errorf("the supervisor's process: %v", err)
		}
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(errors.Join(err, errors.New("the supervisor's process ended: "+line)))
	}
	return a
}

// processorTime is the processor time that all threads of the process have used, from the scheduler's clock: clock ticks
// are too coarse for threads that hardly ever run.
func (a *apartProcess) processorTime(t testing.TB) time.Duration {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", a.cmd.Process.Pid))
	if err != nil || len(tasks) == 0 {
		t.Fatal("the supervisor's process has no threads: ", err)
	}
	var all time.Duration
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		var ns int64
		if _, err := fmt.Sscan(string(b), &ns); err != nil {
			t.Fatal(err)
		}
		all += time.Duration(ns)
	}
	return all
}

// kB returns a size from the process's /proc status file.
func (a *apartProcess) kB(t testing.TB, key string) float64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			var n float64
			if _, err := fmt.Sscan(rest, &n); err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("the supervisor's process has no %s", key)
	return 0
}
