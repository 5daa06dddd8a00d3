package nsthread

import (
	"bytes"
	"fmt"
	"os"
	"sync"
)

// usage is what the kernel says about an operating system thread at one moment.
type usage struct {
	state        byte   // R: runs, S: sleeps, D: sleeps and takes no signals, …
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

// parseUsage reads a line of /proc/PID/stat, see proc(5). The thread's name is in parentheses, and may contain some itself.
func parseUsage(stat []byte) (u usage, err error) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 || len(fields[0]) != 1 {
		return usage{}, fmt.Errorf("stat of a thread: %q", stat)
	}
	u.state = fields[0][0]
	_, err = fmt.Sscan(string(fields[11])+" "+string(fields[12]), &u.user, &u.system)
	return u, err
}

// looks has the usage that the last InKernel of a thread read.
type looks struct {
	mu   sync.Mutex
	tid  int32
	last usage
}

// inKernel compares a usage with the one before.
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

// InKernel reports whether a function that the thread calls is busy inside the kernel: it sleeps there without taking signals,
// or has spent more processor time there than outside since the InKernel before. The kernel takes no signal meanwhile, not even
// SIGKILL, so nothing that this process could do ends the function. InKernel may be called from anywhere; it waits for nothing.
func (t *Thread) InKernel() bool {
	tid := t.worksAt.Load()
	if tid == 0 {
		return false
	}
	now, err := usageOf(tid)
	return err == nil && t.looks.inKernel(tid, now)
}
