package nsthread_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/nsthread"
	"joolctl/nsthread/nstest"
)

func TestWatch(t *testing.T) {
	nstest.Need(t)
	pool := nsthread.NewPool()
	th := get(t, pool, "")
	defer th.Release()
	tid := 0
	do(t, th, func() { tid = unix.Gettid() })
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(p[1])
	read := make(chan byte, 16)
	do(t, th, func() {
		if err := th.Watch(p[0], func() {
			var b [1]byte
			if unix.Gettid() != tid {
				t.Error("called on a strange thread")
			}
			if n, _ := unix.Read(p[0], b[:]); n == 1 {
				read <- b[0]
			}
		}); err != nil {
			t.Error(err)
		}
		if err := th.Watch(p[0], func() {}); err == nil {
			t.Error("watched twice without an error")
		}
	})
	for _, c := range []byte("abc") {
		if _, err := unix.Write(p[1], []byte{c}); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []byte("abc") {
		select {
		case got := <-read:
			if got != want {
				t.Errorf("read %q, want %q", got, want)
			}
		case <-time.After(patience):
			t.Fatal("a byte was not announced")
		}
	}
	do(t, th, func() { th.Unwatch(p[0]) })
	_, _ = unix.Write(p[1], []byte{'d'})
	do(t, th, func() {})
	do(t, th, func() { // after two more rounds, the handler has read no byte
		if len(read) > 0 {
			t.Error("announced after Unwatch")
		}
		th.Unwatch(p[0]) // a second Unwatch has no effect
		unix.Close(p[0])
		if err := th.Watch(p[0], func() {}); !errors.Is(err, unix.EBADF) {
			t.Errorf("watching a closed descriptor: %v", err)
		}
	})
}

// TestUnwatchInHandler has the first of two handlers call Unwatch for the second one in the same round of
// events.
func TestUnwatchInHandler(t *testing.T) {
	nstest.Need(t)
	pool := nsthread.NewPool()
	th := get(t, pool, "")
	defer th.Release()
	var fds [2]int
	calls := 0
	done := make(chan struct{})
	do(t, th, func() {
		for i := range fds {
			fd, err := unix.Eventfd(1, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
			if err != nil {
				t.Error(err)
			}
			fds[i] = fd
		}
		for _, fd := range fds {
			if err := th.Watch(fd, func() {
				calls++
				for _, fd := range fds {
					th.Unwatch(fd)
				}
				close(done)
			}); err != nil {
				t.Error(err)
			}
		}
	})
	<-done
	do(t, th, func() {
		if calls != 1 {
			t.Errorf("%d handlers were called", calls)
		}
		for _, fd := range fds {
			unix.Close(fd)
		}
	})
}

func TestScratch(t *testing.T) {
	nstest.Need(t)
	pool := nsthread.NewPool()
	th := get(t, pool, "")
	defer th.Release()
	made := 0
	newOne := func() any { made++; return &made }
	do(t, th, func() {
		if a, b := th.Scratch(newOne), th.Scratch(newOne); a != b || made != 1 {
			t.Errorf("%d made: %v and %v", made, a, b)
		}
	})
}

// TestGoroutinesStayInTheirNamespace starts and ends threads while other goroutines start and end, and checks the namespace of
// each goroutine.
func TestGoroutinesStayInTheirNamespace(t *testing.T) {
	names := []string{nstest.New(t), nstest.New(t)}
	base := here()
	pool := nsthread.NewPool()
	var lost atomic.Int64
	var stop atomic.Bool
	var lookers sync.WaitGroup
	for range 4 {
		lookers.Go(func() {
			for !stop.Load() {
				var burst sync.WaitGroup
				for range 8 { // goroutines that block make the runtime start threads
					burst.Go(func() {
						if here() != base {
							lost.Add(1)
						}
					})
				}
				burst.Wait()
			}
		})
	}
	var users sync.WaitGroup
	for i := range 8 {
		users.Go(func() {
			for range 25 {
				th, err := pool.Get(names[i%2])
				if err != nil {
					t.Error(err)
					return
				}
				for range 5 {
					if err := th.Do(func() { lost.Add(strays(th, base)) }); err != nil {
						t.Error(err)
					}
				}
				th.Release()
			}
		})
	}
	users.Wait()
	stop.Store(true)
	lookers.Wait()
	if n := lost.Load(); n > 0 {
		t.Errorf("%d goroutines found themselves in a strange namespace", n)
	}
	// The process's first thread cannot end. If it had entered a namespace, the process would belong to that
	// namespace forever.
	if id := identify(t, ""); id != base {
		t.Errorf("the process's own namespace is now %v, was %v", id, base)
	}
}

// strays is called on a thread. It returns how many goroutines are in a namespace that is not theirs: the thread's own, and one that
// its function starts, which does not run on the thread.
func strays(th *nsthread.Thread, base nsthread.ID) (n int64) {
	if here() != th.ID() {
		n++
	}
	started := make(chan nsthread.ID)
	go func() { started <- here() }()
	if <-started != base {
		n++
	}
	return n
}

// TestStrayPanic has each kind of function that a thread calls panic. Each panic is reported once, and the
// thread continues.
func TestStrayPanic(t *testing.T) {
	ns := nstest.New(t)
	pool := nsthread.NewPool()
	stray := make(chan error, 10)
	pool.OnStray(func(err error) { stray <- err })
	th := get(t, pool, ns)
	defer th.Release()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(p[0])
	defer unix.Close(p[1])
	if _, err := unix.Write(p[1], []byte("x")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what string
		do   func()
	}{
		{"posted", func() { _ = th.Post(func() { panic("posted") }) }},
		{"timer", func() { do(t, th, func() { th.NewTimer(func() { panic("timer") }).Set(time.Now()) }) }},
		{"descriptor", func() {
			do(t, th, func() {
				if err := th.Watch(p[0], func() { panic("descriptor") }); err != nil {
					t.Error(err)
				}
			})
		}},
	} {
		c.do()
		select {
		case err := <-stray:
			if !strings.HasPrefix(err.Error(), "panic: "+c.what+"\n") || !strings.Contains(err.Error(), "TestStrayPanic") {
				t.Errorf("%s: told %v", c.what, err)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: nothing was told", c.what)
		}
		do(t, th, func() {})
	}
	do(t, th, func() {})
	if len(stray) != 0 {
		t.Errorf("told again: %v", <-stray)
	}
}
