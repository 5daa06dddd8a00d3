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
	started := time.Now()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		in.Close()
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	}()
	lines := bufio.NewScanner(out)
	told := func() time.Duration {
		t.Helper()
		if !lines.Scan() {
			t.Fatal("the process has ended")
		}
		d, err := time.ParseDuration(lines.Text())
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	say := func() {
		if _, err := io.WriteString(in, "x"); err != nil {
			t.Fatal(err)
		}
	}
	signal := func(s unix.Signal) {
		if err := c.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	told()
	const still = nsthread.StallDelay + 500*time.Millisecond
	signal(unix.SIGSTOP)
	if _, err := unix.Wait4(c.Process.Pid, nil, unix.WUNTRACED, nil); err != nil { // returns once the process has stopped
		t.Fatal(err)
	}
	say()
	<-time.After(still)
	signal(unix.SIGCONT)
	// A busy host may resume the process later.
	if d, most := told(), time.Since(started); d < still-100*time.Millisecond || d > most {
		t.Errorf("the process stalled for %v, want %v to %v", d, still, most)
	}
	say()
	if d := told(); d != 0 {
		t.Errorf("the stall has not ended: %v", d)
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
