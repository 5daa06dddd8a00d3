package nsthread_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"joolctl/nsthread"
	"joolctl/nsthread/nstest"
)

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
