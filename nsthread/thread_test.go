package nsthread_test

import (
	"os"
	"runtime"
	"strings"
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
