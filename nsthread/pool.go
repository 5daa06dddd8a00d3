// Package nsthread owns the operating system threads that live inside network
// namespaces. It is the only place that enters one.
//
// Jool carries out a request in the namespace of the calling thread, whatever
// namespace the socket was opened in. So everything that is sent to a module
// is sent from a Thread of the instance's namespace.
package nsthread

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// dir is where `ip netns` keeps namespaces by name.
const dir = "/run/netns"

// ID tells namespaces apart for as long as one of them is held; the kernel may
// use the number again afterwards.
type ID struct{ Dev, Ino uint64 }

// ErrNotNamespace is why a path that exists can't be entered. A name under
// /run/netns appears before its namespace is mounted there.
var ErrNotNamespace = errors.New("is not a network namespace")

// Path is the file that a namespace is known by: a name under /run/netns, an
// absolute path as it is, or, for "", the namespace of this process.
func Path(ns string) string {
	switch {
	case ns == "":
		return fmt.Sprintf("/proc/%d/ns/net", os.Getpid())
	case strings.HasPrefix(ns, "/"):
		return ns
	}
	return filepath.Join(dir, ns)
}

// open returns a handle of the namespace, which the caller closes, and its ID.
func open(ns string) (netns.NsHandle, ID, error) {
	path := Path(ns)
	// O_NONBLOCK: the path may be anything, a FIFO too.
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	var fs unix.Statfs_t
	if err == unix.EACCES && unix.Statfs(path, &fs) == nil && fs.Type != unix.NSFS_MAGIC {
		// Before the mount, `ip netns` leaves a file there that only CAP_DAC_OVERRIDE can open.
		return netns.None(), ID{}, fmt.Errorf("%s %w", path, ErrNotNamespace)
	}
	if err != nil {
		return netns.None(), ID{}, &os.PathError{Op: "open", Path: path, Err: err}
	}
	h := netns.NsHandle(fd)
	var st unix.Stat_t
	if err := unix.Fstatfs(fd, &fs); err == nil && fs.Type != unix.NSFS_MAGIC {
		h.Close()
		return netns.None(), ID{}, fmt.Errorf("%s %w", path, ErrNotNamespace)
	}
	if err := unix.Fstat(fd, &st); err != nil {
		h.Close()
		return netns.None(), ID{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return h, ID{st.Dev, st.Ino}, nil
}

// Identify tells which namespace the name or path leads to now.
func Identify(ns string) (ID, error) {
	h, id, err := open(ns)
	if err != nil {
		return ID{}, err
	}
	h.Close()
	return id, nil
}

// Pool hands out one Thread for each namespace, shared by all who ask for it.
type Pool struct {
	mu      sync.Mutex
	threads map[ID]*Thread
	clock   *clock    // of these; nil: there are none
	scratch sync.Pool // what threads have that run
	stray   func(error)
}

// NewPool makes an empty pool.
func NewPool() *Pool { return &Pool{threads: make(map[ID]*Thread)} }

// OnStray has fn told of panics that a thread's user did not catch, with the
// stack in the lines behind the first. To be called before the first Get.
func (p *Pool) OnStray(fn func(error)) { p.stray = fn }

// Get returns the thread of the namespace (see Path), started if it is the
// first to be asked for. The caller gives it back with Release. An error wraps
// fs.ErrNotExist or ErrNotNamespace where there is no such namespace (yet).
func (p *Pool) Get(ns string) (*Thread, error) {
	h, id, err := open(ns)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.threads[id]
	if t == nil {
		if t, err = p.start(h, id); err != nil {
			return nil, fmt.Errorf("entering %s: %w", Path(ns), err)
		}
		p.threads[id] = t
	}
	t.users++
	return t, nil
}

// Release gives the thread back. The last one to do so ends it, and with it
// the pool's hold on the namespace.
func (t *Thread) Release() {
	p := t.pool
	p.mu.Lock()
	t.users--
	last := t.users == 0
	var idle *clock
	if last {
		delete(p.threads, t.id)
		if len(p.threads) == 0 {
			idle, p.clock = p.clock, nil
		}
	}
	p.mu.Unlock()
	if last {
		t.stop()
	}
	if idle != nil {
		idle.stop()
	}
}

// ID is the namespace's.
func (t *Thread) ID() ID { return t.id }

// Is says whether the name or path leads to the thread's namespace now. It opens
// nothing.
func (t *Thread) Is(ns string) bool {
	var st unix.Stat_t
	return unix.Stat(Path(ns), &st) == nil && ID{st.Dev, st.Ino} == t.id
}
