// Package timerslack lets the kernel delay the wake-ups of Go's monitor thread.
//
// Go's runtime has a monitor thread, which looks after goroutines that block in system calls. While the program is
// active the monitor sleeps for 20 µs at a time. A worker is active for a few microseconds per report of the module,
// a hundred times a second; the monitor then used as much processor time as everything else together.
//
// The kernel may delay a sleeping thread by the thread's timer slack, 50 µs by default. A longer slack turns the
// monitor's 20 µs into milliseconds. The runtime starts the monitor before main runs, a thread can change only its own
// slack without CAP_SYS_NICE, and a new thread has the slack of its creator. But the slack survives execve(2), and the
// threads of the new program inherit it. So Coarsen sets the slack of the calling thread and executes the program
// again, and each thread that must be on time sets its own slack back with Fine.
package timerslack

import (
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// coarse is the monitor's slack. The monitor takes Go's processors back from threads that block in a system call, and
	// preempts goroutines, both after 10 ms at the earliest and later by up to this slack. So the program needs more of
	// Go's processors than the host has (see package processors).
	coarse = 20 * time.Millisecond
	// fine is the kernel's default.
	fine = 50 * time.Microsecond
)

// Applies reports whether Coarsen has an effect on this host. With one processor it has none: Go's runtime would keep a
// namespace's thread from its processor for up to the slack, and the module dropped 1,000 of 20,000 new sessions
// meanwhile in a measurement.
func Applies() bool { return runtime.NumCPU() > 1 }

// Coarsen executes the program again with a timer slack of 20 ms, unless it has one already or Applies is false. It must be called in
// main's first goroutine, before the program opens, starts or handles anything. It returns if there is nothing to do, or
// with the reason why the program keeps its slack, which costs processor time and nothing else.
func Coarsen() error {
	if !Applies() || current() == coarse {
		return nil
	}
	if err := set(coarse); err != nil {
		return err
	}
	if current() != coarse {
		return nil // threads with a real-time policy have no slack
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return os.NewSyscallError("execve", unix.Exec(self, os.Args, os.Environ()))
}

// Fine gives the calling thread the kernel's default slack, for timers on time. The goroutine must be locked to its
// thread.
func Fine() error { return set(fine) }

func set(slack time.Duration) error {
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack), 0, 0, 0))
}

// current is the calling thread's slack.
func current() time.Duration {
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil {
		return 0
	}
	return time.Duration(slack)
}
