package nsthread

import (
	"os"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"joolctl/nsthread/nstest"
)

func TestParseUsage(t *testing.T) {
	for _, test := range []struct {
		name, stat string
		want       usage
		bad        bool
	}{
		{"running", "123 (joolctl) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15", usage{'R', 11, 12}, false},
		{"waiting for the kernel", "123 (joolctl) D 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15", usage{'D', 11, 12}, false},
		{"with a strange name", "123 (a) R (b) S 1 2 3 4 5 6 7 8 9 10 0 5 13 14 15", usage{'S', 0, 5}, false},
		{"cut off", "123 (joolctl) R 1 2", usage{}, true},
		{"no numbers", "123 (joolctl) R 1 2 3 4 5 6 7 8 9 10 a b", usage{}, true},
		{"empty", "", usage{}, true},
	} {
		got, err := parseUsage([]byte(test.stat))
		if (err != nil) != test.bad || !test.bad && got != test.want {
			t.Errorf("%s: %v, %v, want %v", test.name, got, err, test.want)
		}
	}
	stat, err := os.ReadFile("/proc/thread-self/stat")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := parseUsage(stat); err != nil || got.state != 'R' {
		t.Errorf("this thread: %c, %v", got.state, err)
	}
}

func TestLooks(t *testing.T) {
	for _, test := range []struct {
		name          string
		before, after usage
		thread        int32
		want          bool
	}{
		{"sleeps without taking signals", usage{'D', 5, 5}, usage{'D', 5, 5}, 1, true},
		{"waits for a lock of this process", usage{'S', 5, 5}, usage{'S', 5, 5}, 1, false},
		{"is busy in the kernel", usage{'R', 5, 5}, usage{'R', 6, 100}, 1, true},
		{"is busy in this process", usage{'R', 5, 500}, usage{'R', 100, 500}, 1, false},
		{"another thread has run before", usage{'R', 5, 5}, usage{'R', 6, 100}, 2, false},
		{"is stopped by a debugger", usage{'t', 5, 5}, usage{'t', 5, 5}, 1, false},
	} {
		var l looks
		l.inKernel(1, test.before)
		if got := l.inKernel(test.thread, test.after); got != test.want {
			t.Errorf("a thread that %s: %v, want %v", test.name, got, test.want)
		}
	}
}

// TestInKernel calls InKernel while a thread waits, computes, and keeps the kernel computing.
func TestInKernel(t *testing.T) {
	ns := nstest.New(t)
	pool := NewPool()
	thread, err := pool.Get(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer thread.Release()
	if thread.InKernel() {
		t.Error("a thread that waits for work counts as busy in the kernel")
	}
	random := make([]byte, 1<<20)
	// Not with unix.Getrandom, which computes in this process (vDSO).
	if !busyInKernel(t, thread, func() {
		_, _, _ = unix.Syscall(unix.SYS_GETRANDOM, uintptr(unsafe.Pointer(&random[0])), uintptr(len(random)), 0)
	}) {
		t.Error("a thread that the kernel keeps busy does not count as busy in the kernel")
	}
	if busyInKernel(t, thread, func() {}) {
		t.Error("a thread that computes counts as busy in the kernel")
	}
}

// busyInKernel calls fn on the thread repeatedly, and returns the result of InKernel once the thread has used processor time.
func busyInKernel(t *testing.T, thread *Thread, fn func()) bool {
	t.Helper()
	var end atomic.Bool
	started, ended := make(chan struct{}), make(chan struct{})
	err := thread.Post(func() {
		defer close(ended)
		close(started)
		for !end.Load() {
			fn()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	<-started
	defer func() { end.Store(true); <-ended }()
	thread.InKernel()
	before, err := usageOf(thread.worksAt.Load())
	if err != nil {
		t.Fatal(err)
	}
	for late := time.After(10 * time.Second); ; {
		now, err := usageOf(thread.worksAt.Load())
		if err != nil {
			t.Fatal(err)
		}
		if now.user+now.system >= before.user+before.system+20 && now.state == 'R' {
			return thread.InKernel()
		}
		select {
		case <-late:
			t.Fatal("the thread used no processor time")
		default:
		}
	}
}
