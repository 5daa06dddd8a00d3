package supervisor

import (
	"context"
	"os"
	"syscall"
)

// mountTable is the kernel's list of mounts. The kernel reports an epoll event on it at each mount and unmount.
const mountTable = "/proc/self/mountinfo"

// watchMounts returns a channel that receives a value each time that a file system may have been mounted or unmounted,
// until ctx ends. inotify hardly reports mounts: a watch stays on the directory that the mount hides. If /proc is not
// available, the channel receives nothing.
func watchMounts(ctx context.Context) <-chan struct{} {
	changed := make(chan struct{}, 1)
	f, err := os.Open(mountTable)
	if err != nil {
		return changed
	}
	context.AfterFunc(ctx, func() { f.Close() })
	raw, err := f.SyscallConn()
	if err != nil {
		return changed
	}
	go func() {
		// The runtime polls edge-triggered, which is required here: the file is always readable. The first call happens
		// before any wait; it covers mounts that happened since the file was opened.
		_ = raw.Read(func(uintptr) bool {
			select {
			case changed <- struct{}{}:
			default:
			}
			return false // Read waits for the next edge, until the file is closed
		})
	}()
	return changed
}

// identity is the device and inode number that a path has now; zero: the path can't be read.
type identity struct{ device, inode uint64 }

func identityOf(path string) identity {
	var stat syscall.Stat_t
	if syscall.Stat(path, &stat) != nil {
		return identity{}
	}
	return identity{stat.Dev, stat.Ino}
}

// identify records the identities of the watched directories.
func (w *watch) identify() {
	w.identities = make(map[string]identity)
	for _, path := range w.places.all() {
		w.identities[path] = identityOf(path)
	}
}

// covered reports whether the path of a watched directory now leads to another directory.
func (w *watch) covered() bool {
	for path, was := range w.identities {
		if identityOf(path) != was {
			return true
		}
	}
	return false
}
