package metrics

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// process contains the kernel's counters of this program.
type process struct {
	cpuSeconds                      float64
	residentBytes                   uint64
	threads, descriptors, maxOpened uint64
}

// processNow reads the kernel's counters. A counter that can't be read is 0.
func processNow() (p process) {
	var use unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &use) == nil {
		p.cpuSeconds = seconds(use.Utime) + seconds(use.Stime)
	}
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := bytes.Fields(b); len(fields) > 1 {
			pages, _ := strconv.ParseUint(string(fields[1]), 10, 64)
			p.residentBytes = pages * uint64(os.Getpagesize())
		}
	}
	p.threads, p.descriptors = entries("/proc/self/task"), entries("/proc/self/fd")
	if p.descriptors > 0 {
		p.descriptors-- // the one that reads them
	}
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		p.maxOpened = limit.Cur
	}
	return p
}

func seconds(t unix.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }

// entries counts the entries of a directory.
func entries(path string) uint64 {
	dir, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1) // on an error, the names read so far
	return uint64(len(names))
}
