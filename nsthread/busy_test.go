package nsthread_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/nsthread"
	"joolctl/nsthread/nstest"
)

// BenchmarkWakes measures the process's processor time for each time that a thread
// wakes up, once in a millisecond, as one does that passes sessions on.
func BenchmarkWakes(b *testing.B) {
	nstest.Need(b)
	th, err := nsthread.NewPool().Get("")
	if err != nil {
		b.Fatal(err)
	}
	defer th.Release()
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(fd)
	left, done := b.N, make(chan struct{})
	var used unix.Rusage
	now := func() time.Duration {
		if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
			b.Fatal(err)
		}
		return time.Duration(used.Utime.Nano() + used.Stime.Nano())
	}
	before := now()
	every := unix.NsecToTimespec(int64(time.Millisecond))
	if err := th.Do(func() {
		if err := th.Watch(fd, func() {
			var expired [8]byte
			if _, err := unix.Read(fd, expired[:]); err != nil {
				b.Error(err)
			}
			if left--; left == 0 {
				th.Unwatch(fd)
				close(done)
			}
		}); err != nil {
			b.Error(err)
		}
		if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: every, Value: every}, nil); err != nil {
			b.Error(err)
		}
	}); err != nil {
		b.Fatal(err)
	}
	<-done
	b.ReportMetric(float64((now()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
}
