package guest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// cpuTime is the processor time that the program has used, in user space and in
// the kernel. It is the sum of /proc/PID/stat's utime and stime, but finer: from
// its threads' schedstat. Threads that have ended are missing.
func (p *process) cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var sum time.Duration
	for _, used := range p.threads(t) {
		sum += used
	}
	return sum
}

// usedSince is the processor time that the program has used since an earlier call of threads.
func (p *process) usedSince(t testing.TB, before map[int]time.Duration) (sum time.Duration) {
	t.Helper()
	for id, used := range p.threads(t) {
		sum += used - before[id]
	}
	return sum
}

// threads maps the program's thread ids to the processor time that they have used.
func (p *process) threads(t testing.TB) map[int]time.Duration {
	t.Helper()
	dirs, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", p.cmd.Process.Pid))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("%s: no schedstat of its threads: %v", p.name, err)
	}
	all := make(map[int]time.Duration, len(dirs))
	for _, dir := range dirs {
		schedstat, err := os.ReadFile(filepath.Join(dir, "schedstat"))
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // the thread has just ended
		}
		var id int
		var used time.Duration
		if err == nil {
			_, err = fmt.Sscan(filepath.Base(dir)+" "+string(schedstat), &id, &used)
		}
		if err != nil {
			t.Fatalf("%s: %v", dir, err)
		}
		all[id] = used
	}
	return all
}
