package guest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ThreadUse is what one thread of a program has used.
type ThreadUse struct {
	ID           int
	Name         string
	CPU          time.Duration // on a processor, user and system
	User, System time.Duration // the same in ticks of 10 ms, which the kernel guesses
	Waited       time.Duration // ready to run, without a processor
	Turns        int64         // how often it got a processor
}

// minus is what the thread has used since an earlier look.
func (u ThreadUse) minus(before ThreadUse) ThreadUse {
	u.CPU -= before.CPU
	u.User -= before.User
	u.System -= before.System
	u.Waited -= before.Waited
	u.Turns -= before.Turns
	return u
}

// cpuTime is the processor time that the program has used, in user space and in
// the kernel. It is the sum of /proc/PID/stat's utime and stime, but finer: from
// its threads' schedstat. Threads that have ended are missing.
func (p *process) cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var sum time.Duration
	for _, u := range p.threads(t) {
		sum += u.CPU
	}
	return sum
}

// threads are the program's threads and their use, by their number.
func (p *process) threads(t testing.TB) map[int]ThreadUse {
	t.Helper()
	dirs, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", p.cmd.Process.Pid))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("%s: no schedstat of its threads: %v", p.name, err)
	}
	all := make(map[int]ThreadUse, len(dirs))
	for _, dir := range dirs {
		u, err := threadUse(dir)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // the thread has just ended
		}
		if err != nil {
			t.Fatalf("%s: %v", dir, err)
		}
		all[u.ID] = u
	}
	return all
}

// threadUse reads a thread's directory below /proc.
func threadUse(dir string) (u ThreadUse, err error) {
	schedstat, err := os.ReadFile(filepath.Join(dir, "schedstat"))
	if err != nil {
		return u, err
	}
	if _, err := fmt.Sscan(string(schedstat), &u.CPU, &u.Waited, &u.Turns); err != nil {
		return u, err
	}
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return u, err
	}
	// The name stands in parentheses, and may have some of its own.
	before, behind, _ := strings.Cut(string(stat), " (")
	end := strings.LastIndex(behind, ") ")
	if end < 0 {
		return u, fmt.Errorf("no name in %q", stat)
	}
	u.Name = behind[:end]
	if u.ID, err = strconv.Atoi(before); err != nil {
		return u, err
	}
	const tick = 10 * time.Millisecond  // USER_HZ is 100
	const utime, stime = 14 - 3, 15 - 3 // proc(5) counts from 1, and the state is the third
	fields := strings.Fields(behind[end+2:])
	if len(fields) <= stime {
		return u, fmt.Errorf("%d fields in %q", len(fields), stat)
	}
	for field, to := range map[int]*time.Duration{utime: &u.User, stime: &u.System} {
		n, err := strconv.ParseInt(fields[field], 10, 64)
		if err != nil {
			return u, err
		}
		*to = time.Duration(n) * tick
	}
	return u, nil
}
