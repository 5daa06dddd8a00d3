// Package nsthread owns the operating system threads that run inside network namespaces. No other package enters
// a namespace.
//
// Jool handles a request in the namespace of the calling thread, not in the one in which the socket was opened.
// So every request to the module is sent from a Thread of the instance's namespace.
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

// dir is the directory in which `ip netns` mounts namespaces by name.
const dir = "/run/netns"

// ID identifies a namespace by the device and inode of its file. It is unique while a descriptor or thread keeps
// the namespace alive; afterwards the kernel may reuse the number.
type ID struct{ Dev, Ino uint64 }

// ErrNotNamespace is wrapped by errors about an existing path that is not a network namespace. A name under
// /run/netns exists for a moment before its namespace is mounted there.
var ErrNotNamespace = errors.New("is not a network namespace")

// Path returns the path of a namespace's file: that of a name under /run/netns, an absolute path unchanged, or
// for "" the namespace of this process.
func Path(ns string) string {
	switch {
	case ns == "":
		return fmt.Sprintf("/proc/%d/ns/net", os.Getpid())
	case strings.HasPrefix(ns, "/"):
		return ns
	}
	return filepath.Join(dir, ns)
}

// open opens the namespace and returns its handle, which the caller closes, and its ID.
func open(ns string) (netns.NsHandle, ID, error) {
	path := Path(ns)
	// O_NONBLOCK, because the path may be any file, even a FIFO.
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	var fs unix.Statfs_t
	if err == unix.EACCES && unix.Statfs(path, &fs) == nil && fs.Type != unix.NSFS_MAGIC {
		// Before the mount, `ip netns` leaves a file here that only a process with CAP_DAC_OVERRIDE can open.
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

// Identify returns the ID of the namespace that the name or path leads to now.
func Identify(ns string) (ID, error) {
	h, id, err := open(ns)
	if err != nil {
		return ID{}, err
	}
	h.Close()
	return id, nil
}

// Pool gives out Threads, one for each namespace, which all its callers share.
type Pool struct {
	mu      sync.Mutex
	threads map[ID]*Thread
	clock   *clock    // fires timers of the threads; nil while there are none
	scratch sync.Pool // the memory of Thread.Scratch
	stray   func(error)
}

// NewPool returns an empty pool.
func NewPool() *Pool { return &Pool{threads: make(map[ID]*Thread)} }

// OnStray sets a function that receives panics that a thread's user did not recover. The error's text has the
// panic in its first line and the stack in the others. OnStray must be called before the first Get.
func (p *Pool) OnStray(fn func(error)) { p.stray = fn }

// Get returns the thread of the namespace (see Path) and starts it for the first caller. The caller must give it
// back with Release. The error wraps fs.ErrNotExist or ErrNotNamespace if the namespace does not exist or is not
// mounted yet.
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

// Release ends the caller's use of the thread. The last Release ends the thread, which then no longer keeps the
// namespace alive.
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

// ID returns the ID of the thread's namespace.
func (t *Thread) ID() ID { return t.id }

// Is reports whether the name or path leads to the thread's namespace now. It opens no file.
func (t *Thread) Is(ns string) bool {
	var st unix.Stat_t
	return unix.Stat(Path(ns), &st) == nil && ID{st.Dev, st.Ino} == t.id
}
