package nsthread_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/nsthread"
	"joolctl/nsthread/nstest"
)

// patience bounds how long a test waits for an event.
const patience = 10 * time.Second

// here returns the ID of the namespace that the calling thread is in.
func here() nsthread.ID {
	var st unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &st); err != nil {
		panic(err)
	}
	return nsthread.ID{Dev: st.Dev, Ino: st.Ino}
}

func get(t *testing.T, p *nsthread.Pool, ns string) *nsthread.Thread {
	t.Helper()
	th, err := p.Get(ns)
	if err != nil {
		t.Fatal(err)
	}
	return th
}

func identify(t *testing.T, ns string) nsthread.ID {
	t.Helper()
	id, err := nsthread.Identify(ns)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func do(t *testing.T, th *nsthread.Thread, fn func()) {
	t.Helper()
	if err := th.Do(fn); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func entries(t *testing.T, dir string) int {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestDoIsInside(t *testing.T) {
	ns := nstest.New(t)
	base := here()
	pool := nsthread.NewPool()
	for _, name := range []string{ns, "/run/netns/" + ns, ""} {
		th := get(t, pool, name)
		want := identify(t, name)
		if (want == base) != (name == "") {
			t.Fatalf("%q leads to %v, the test runs in %v", name, want, base)
		}
		var got nsthread.ID
		do(t, th, func() { got = here() })
		if got != want || th.ID() != want {
			t.Errorf("%q: Do ran in %v, the thread is of %v, want %v", name, got, th.ID(), want)
		}
		th.Release()
	}
	if got := here(); got != base {
		t.Errorf("the test ended up in %v", got)
	}
}

func TestPoolSharesThreads(t *testing.T) {
	ns, other := nstest.New(t), nstest.New(t)
	pool := nsthread.NewPool()
	a, b, c := get(t, pool, ns), get(t, pool, "/run/netns/"+ns), get(t, pool, other)
	defer c.Release()
	if a != b || a == c {
		t.Fatalf("threads %p and %p of one namespace, %p of another", a, b, c)
	}
	tid := 0
	do(t, a, func() { tid = unix.Gettid() })
	for range 100 {
		do(t, b, func() {
			if now := unix.Gettid(); now != tid {
				t.Errorf("ran on thread %d, then on %d", tid, now)
			}
		})
	}
	a.Release()
	do(t, b, func() {}) // the thread still runs, because it has another user
	b.Release()
	if err := b.Do(func() {}); !errors.Is(err, nsthread.ErrStopped) {
		t.Errorf("after the last Release, Do: %v", err)
	}
	if err := b.Post(func() {}); !errors.Is(err, nsthread.ErrStopped) {
		t.Errorf("after the last Release, Post: %v", err)
	}
	if again := get(t, pool, ns); again == a {
		t.Error("a thread that has ended was handed out again")
	} else {
		again.Release()
	}
}

// TestReleaseLetsGo deletes a namespace after the last Release, and checks that the kernel removes it: the other
// end of a veth pair disappears.
func TestReleaseLetsGo(t *testing.T) {
	ns := nstest.New(t)
	outside := nstest.New(t)
	nstest.Veth(t, nstest.End{Namespace: outside, Name: "end0"}, nstest.End{Namespace: ns, Name: "end1"})
	pool := nsthread.NewPool()
	watcher := get(t, pool, outside)
	defer watcher.Release()
	fds := entries(t, "/proc/self/fd")
	th := get(t, pool, ns)
	tid := 0
	do(t, th, func() { tid = unix.Gettid() })
	nstest.Delete(t, ns)
	exists := func() (yes bool) {
		do(t, watcher, func() {
			_, err := os.Stat(fmt.Sprintf("/proc/%d/task/%d/net/dev_snmp6/end0", os.Getpid(), unix.Gettid()))
			yes = err == nil
		})
		return yes
	}
	if !exists() {
		t.Fatal("the namespace went while a thread was in it")
	}
	th.Release()
	eventually(t, "the namespace's veth goes", func() bool { return !exists() })
	eventually(t, "the thread ends", func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", tid))
		return err != nil
	})
	if now := entries(t, "/proc/self/fd"); now != fds {
		t.Errorf("%d descriptors before, %d after", fds, now)
	}
}

func TestPostOrder(t *testing.T) {
	pool := nsthread.NewPool()
	nstest.Need(t)
	th := get(t, pool, "")
	var got []int
	var last error
	for i := range 1000 {
		if err := th.Post(func() {
			got = append(got, i)
			if i == 500 {
				last = th.Post(func() { got = append(got, 1000) })
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	th.Release() // runs the posted functions first
	if want := 1000; len(got) < want || last == nil && len(got) == want {
		t.Fatalf("%d functions were called; Post on the thread: %v", len(got), last)
	}
	at := 0
	for _, i := range got {
		if i == 1000 {
			continue
		}
		if i != at {
			t.Fatalf("call %d came as number %d", i, at)
		}
		at++
	}
}

// TestPostedLeavesRoom checks that the thread handles a readable descriptor between two posted functions.
func TestPostedLeavesRoom(t *testing.T) {
	nstest.Need(t)
	th := get(t, nsthread.NewPool(), "")
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	var ran, readAfter int
	do(t, th, func() {
		err = th.Watch(fd, func() {
			var buf [8]byte
			_, _ = unix.Read(fd, buf[:])
			readAfter = ran
		})
		for range 1000 {
			_ = th.Post(func() {
				if ran++; ran == 10 {
					_, _ = unix.Write(fd, []byte{7: 1})
				}
			})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	th.Release()
	if ran != 1000 || readAfter < 10 || readAfter > 11 { // one wait may return both descriptors, in either order
		t.Errorf("read after %d of %d functions, want 10 or 11 of 1000", readAfter, ran)
	}
}

func TestPanicInDo(t *testing.T) {
	nstest.Need(t)
	pool := nsthread.NewPool()
	th := get(t, pool, "")
	defer th.Release()
	func() {
		defer func() {
			text, _ := recover().(string)
			if !strings.HasPrefix(text, "so be it\n") || !strings.Contains(text, "TestPanicInDo") {
				t.Errorf("handed on: %q, want the panic's text and its stack", text)
			}
		}()
		_ = th.Do(func() { panic("so be it") })
		t.Error("Do returned")
	}()
	do(t, th, func() {}) // the thread still runs
}

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

func TestGetErrors(t *testing.T) {
	nstest.Need(t)
	dir := t.TempDir()
	fifo, plain, gone := filepath.Join(dir, "fifo"), filepath.Join(dir, "plain"), filepath.Join(dir, "gone")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// As `ip netns add` leaves the name for a moment: the file exists, and no namespace is mounted on it.
	unmounted := nstest.Name()
	if err := os.MkdirAll("/run/netns", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("/run/netns/"+unmounted, nil, 0o444); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove("/run/netns/" + unmounted) })
	for _, c := range []struct {
		ns   string
		want error
		text string
	}{
		{nstest.Name(), fs.ErrNotExist, "/run/netns/joolctl-"},
		{gone, fs.ErrNotExist, gone},
		{fifo, nsthread.ErrNotNamespace, fifo},
		{plain, nsthread.ErrNotNamespace, plain},
		{dir, nsthread.ErrNotNamespace, dir},
		{unmounted, nsthread.ErrNotNamespace, unmounted},
		{"/proc/self/ns/uts", syscall.EINVAL, "entering /proc/self/ns/uts"},
	} {
		fds := entries(t, "/proc/self/fd")
		pool := nsthread.NewPool()
		th, err := pool.Get(c.ns)
		if th != nil || !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: thread %v, %v; want %v with %q in it", c.ns, th, err, c.want, c.text)
		}
		if now := entries(t, "/proc/self/fd"); now != fds {
			t.Errorf("%s: %d descriptors before, %d after", c.ns, fds, now)
		}
	}
}

func TestRecreatedNamespace(t *testing.T) {
	ns := nstest.New(t)
	pool := nsthread.NewPool()
	old := get(t, pool, ns)
	defer old.Release()
	nstest.Delete(t, ns)
	if _, err := pool.Get(ns); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("deleted: %v", err)
	}
	nstest.Add(t, ns)
	fresh := get(t, pool, ns)
	defer fresh.Release()
	if fresh == old || fresh.ID() == old.ID() {
		t.Fatalf("one thread for two namespaces that had a name in common: %v, %v", old.ID(), fresh.ID())
	}
	for _, th := range []*nsthread.Thread{old, fresh} {
		do(t, th, func() {
			if here() != th.ID() {
				t.Errorf("runs in %v, want %v", here(), th.ID())
			}
		})
	}
}

// TestNobodyIsLost starts and ends threads while other goroutines start and end, and checks the namespace of
// each goroutine.
func TestNobodyIsLost(t *testing.T) {
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
					if err := th.Do(func() {
						if here() != th.ID() {
							lost.Add(1)
						}
						// A goroutine that the thread's function starts does not run on the thread.
						burst := make(chan nsthread.ID)
						go func() { burst <- here() }()
						if <-burst != base {
							lost.Add(1)
						}
					}); err != nil {
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
