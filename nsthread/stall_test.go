package nsthread_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/nsthread"
	"joolctl/nsthread/nstest"
)

// envStopped makes a process of this test binary read its standard input, and print for each byte how long the
// thread has stalled. The variable's value is the time between the thread's timers.
const envStopped = "JOOLCTL_TEST_STOPPED"

func reportStalls() error {
	between, err := time.ParseDuration(os.Getenv(envStopped))
	if err != nil {
		return err
	}
	th, err := nsthread.NewPool().Get("")
	if err != nil {
		return err
	}
	if err := unix.SetNonblock(0, true); err != nil {
		return err
	}
	end := make(chan struct{})
	if err := th.Do(func() {
		var beat *nsthread.Timer
		beat = th.NewTimer(func() { beat.Set(time.Now().Add(between)) })
		beat.Set(time.Now())
		_ = th.Watch(0, func() { // cannot fail: descriptor 0 is a pipe
			var b [1]byte
			if n, _ := unix.Read(0, b[:]); n == 0 {
				th.Unwatch(0)
				close(end)
				return
			}
			fmt.Println(th.StalledFor())
		})
		fmt.Println(time.Duration(0)) // tells the test that the process is ready
	}); err != nil {
		return err
	}
	<-end
	return nil
}

// TestStoppedProcess stops a process (SIGSTOP) while it waits. The process reports the stall for a byte that was
// sent meanwhile, and none for a later byte.
func TestStoppedProcess(t *testing.T) {
	nstest.Need(t)
	for fires, between := range map[string]string{"the thread": "50ms", "the clock": "300ms"} {
		t.Run(fires+" fires its timers", func(t *testing.T) {
			t.Parallel()
			testStopped(t, between)
		})
	}
}

func testStopped(t *testing.T, between string) {
	started := time.Now()
	r := startReporter(t, between)
	const still = nsthread.StallDelay + 500*time.Millisecond
	r.stop()
	r.ask()
	<-time.After(still)
	r.signal(unix.SIGCONT)
	// A busy host may resume the process later.
	if d, most := r.answer(), time.Since(started); d < still-100*time.Millisecond || d > most {
		t.Errorf("the process stalled for %v, want %v to %v", d, still, most)
	}
	r.ask()
	if d := r.answer(); d != 0 {
		t.Errorf("the stall has not ended: %v", d)
	}
}

// reporter is a process that runs reportStalls.
type reporter struct {
	t       *testing.T
	process *os.Process
	in      io.Writer
	out     *bufio.Scanner
}

// startReporter starts the process and waits until it is ready. The process ends with the test.
func startReporter(t *testing.T, between string) *reporter {
	t.Helper()
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), envStopped+"="+between)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Signal(unix.SIGCONT) // a test that fails may leave it stopped
		in.Close()
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	})
	r := &reporter{t: t, process: c.Process, in: in, out: bufio.NewScanner(out)}
	r.answer()
	return r
}

// ask requests the time of the process's stall.
func (r *reporter) ask() {
	r.t.Helper()
	if _, err := io.WriteString(r.in, "x"); err != nil {
		r.t.Fatal(err)
	}
}

// answer waits for the time that the process prints next.
func (r *reporter) answer() time.Duration {
	r.t.Helper()
	if !r.out.Scan() {
		r.t.Fatal("the process has ended")
	}
	d, err := time.ParseDuration(r.out.Text())
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

func (r *reporter) signal(s unix.Signal) {
	r.t.Helper()
	if err := r.process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

// stop stops the process, and returns once it has stopped.
func (r *reporter) stop() {
	r.t.Helper()
	r.signal(unix.SIGSTOP)
	if _, err := unix.Wait4(r.process.Pid, nil, unix.WUNTRACED, nil); err != nil {
		r.t.Fatal(err)
	}
}

// TestStallAtWork checks that a stall of the thread inside a function is reported.
func TestStallAtWork(t *testing.T) {
	nstest.Need(t)
	t.Parallel()
	started := time.Now()
	th := get(t, nsthread.NewPool(), "")
	defer th.Release()
	const still = nsthread.StallDelay + 200*time.Millisecond
	do(t, th, func() {
		if d := th.StalledFor(); d != 0 {
			t.Errorf("the thread stalled at its start, for %v", d)
		}
	})
	told := make(chan time.Duration, 1)
	do(t, th, func() {
		if err := th.Post(func() { told <- th.StalledFor() }); err != nil {
			t.Error(err)
		}
		<-time.After(still)
	})
	if d, most := <-told, time.Since(started); d < still || d > most {
		t.Errorf("the process stalled for %v, want %v to %v", d, still, most)
	}
}
