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

// ThreadUse is a thread's use of the processors.
type ThreadUse struct {
	ID           int
	Name         string
	CPU          time.Duration // user and system, exact
	User, System time.Duration // CPU split by the kernel's estimate, in steps of 10 ms
	Waited       time.Duration // ready to run, but not running
	Turns        int64         // times that the thread started to run
}

// minus is the use since an earlier look.
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

// threads maps the program's thread ids to their use.
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

// threadUse reads a thread's directory in /proc.
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
	// The thread's name is in parentheses and may contain parentheses.
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
	const utime, stime = 14 - 3, 15 - 3 // proc(5) numbers the fields from 1; fields[0] is the state, number 3
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
