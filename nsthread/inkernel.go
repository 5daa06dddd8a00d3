package nsthread

import (
	"bytes"
	"fmt"
	"os"
	"sync"
)

// usage is the state and the processor time of an operating system thread at one moment.
type usage struct {
	state        byte   // R: running, S: sleeping, D: sleeping uninterruptibly, …
	user, system uint64 // processor time, in the kernel's clock ticks
}

// usageOf reads the usage of a thread of this process.
func usageOf(tid int32) (usage, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/stat", tid))
	if err != nil {
		return usage{}, err
	}
	return parseUsage(b)
}

// parseUsage parses a line of /proc/PID/stat, see proc(5). The thread's name is in parentheses, and may contain
// parentheses.
func parseUsage(stat []byte) (u usage, err error) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 || len(fields[0]) != 1 {
		return usage{}, fmt.Errorf("stat of a thread: %q", stat)
	}
	u.state = fields[0][0]
	_, err = fmt.Sscan(string(fields[11])+" "+string(fields[12]), &u.user, &u.system)
	return u, err
}

// looks keeps the usage that the thread's last InKernel has read.
type looks struct {
	mu   sync.Mutex
	tid  int32
	last usage
}

// inKernel evaluates the usage now against that of the previous call.
func (l *looks) inKernel(tid int32, now usage) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, known := l.last, l.tid == tid
	l.tid, l.last = tid, now
	if now.state == 'D' {
		return true
	}
	return now.state == 'R' && known && now.system-before.system > now.user-before.user
}

// InKernel reports whether a function that the thread calls is busy inside the kernel: it sleeps there
// uninterruptibly, or has used more processor time inside the kernel than outside since the previous call of
// InKernel. The kernel delivers no signal meanwhile, not even SIGKILL, so this process cannot end the function.
// InKernel may be called from any goroutine and does not wait.
func (t *Thread) InKernel() bool {
	tid := t.worksAt.Load()
	if tid == 0 {
		return false
	}
	now, err := usageOf(tid)
	return err == nil && t.looks.inKernel(tid, now)
}
