package guest

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// slowDown delays each system call of the thread that a program has in a namespace, until the program ends. The program's other
// threads are not delayed. A limit on the thread's processor time would stop the thread while it has the kernel's lock for
// requests to Jool, and thereby all that asks Jool in other namespaces.
func (p *process) slowDown(t testing.TB, n *namespace, delay time.Duration) {
	t.Helper()
	thread, began := p.threadIn(t, n), make(chan error)
	go func() {
		runtime.LockOSThread() // ends with the goroutine
		precise()
		err := unix.PtraceSeize(thread)
		if err == nil {
			err = unix.PtraceInterrupt(thread)
		}
		began <- err
		if err == nil {
			delaySystemCalls(thread, delay)
		}
	}()
	if err := <-began; err != nil {
		t.Fatalf("tracing a thread of %s: %v", p.name, err)
	}
}

// delaySystemCalls runs on the thread that traces the other one. Both stop at the beginning and at the end of a system call.
func delaySystemCalls(thread int, delay time.Duration) {
	entered := false
	for {
		var status unix.WaitStatus
		if _, err := unix.Wait4(thread, &status, unix.WALL, nil); err == unix.EINTR {
			continue
		} else if err != nil || !status.Stopped() {
			return // the program has ended
		}
		signal := int(status.StopSignal())
		switch {
		case status>>16 == unix.PTRACE_EVENT_STOP: // the first stop
			if err := unix.PtraceSetOptions(thread, unix.PTRACE_O_TRACESYSGOOD); err != nil {
				return
			}
			signal = 0
		case signal == int(unix.SIGTRAP)|0x80:
			if entered = !entered; entered {
				sleepUntil(time.Now().Add(delay))
			}
			signal = 0
		}
		if err := unix.PtraceSyscall(thread, signal); err != nil {
			return
		}
	}
}

// threadIn returns the thread that a program has in a namespace. Another thread may visit the namespace, but does not stay.
func (p *process) threadIn(t testing.TB, n *namespace) (thread int) {
	t.Helper()
	var want unix.Stat_t
	if err := unix.Stat("/run/netns/"+n.name, &want); err != nil {
		t.Fatal(err)
	}
	const looks = 5
	times := make(map[int]int)
	eventually(t, listensWithin, p.name+" has a thread in "+n.name, func() string {
		for id := range p.threads(t) {
			var is unix.Stat_t
			err := unix.Stat(fmt.Sprintf("/proc/%d/task/%d/ns/net", p.cmd.Process.Pid, id), &is)
			if err != nil && !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ESRCH) {
				t.Fatal(err)
			}
			if err != nil || is.Ino != want.Ino {
				delete(times, id)
				continue
			}
			if times[id]++; times[id] == looks {
				thread = id
				return ""
			}
		}
		return "no thread stays there"
	})
	return thread
}
