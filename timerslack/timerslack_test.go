package timerslack_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"joolctl/timerslack"
)

// envRun in the environment makes the test program coarsen its slack and print it.
const envRun = "JOOLCTL_TEST_TIMERSLACK"

func TestMain(m *testing.M) {
	if os.Getenv(envRun) == "" {
		os.Exit(m.Run())
	}
	if err := report(); err != nil {
		fmt.Println(err)
	}
}

// report prints the process ID and the slack of three threads, in nanoseconds: the first one, a new one, and
// one that asked for the kernel's default.
func report() error {
	runtime.LockOSThread()
	if err := timerslack.Coarsen(); err != nil {
		return err
	}
	first, err := slack()
	other, fine := make(chan int), make(chan int)
	go func() {
		runtime.LockOSThread() // the first thread is taken
		ns, otherErr := slack()
		err = errors.Join(err, otherErr)
		other <- ns
		err = errors.Join(err, timerslack.Fine())
		ns, otherErr = slack()
		err = errors.Join(err, otherErr)
		fine <- ns
	}()
	fmt.Println(os.Getpid(), first, <-other, <-fine)
	return err
}

func slack() (int, error) { return unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0) }

// TestCoarsen starts a process that executes itself once more: it keeps its number and its output.
func TestCoarsen(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self)
	c.Env = append(os.Environ(), envRun+"=1")
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	slack := 20_000_000
	if !timerslack.Applies() {
		slack = 50_000
	}
	if want := fmt.Sprintln(c.Process.Pid, slack, slack, 50_000); string(out) != want {
		t.Errorf("the process printed %q, want %q: process ID, slack of the first thread, of another one, and after Fine", out, want)
	}
}
