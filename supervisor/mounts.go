package supervisor

import (
	"context"
	"os"
	"syscall"
)

// mountTable is readable anew each time that something is mounted or unmounted.
const mountTable = "/proc/self/mountinfo"

// watchMounts returns a channel that gets something each time that something
// may have been mounted or unmounted, until ctx ends. Of that inotify tells next
// to nothing: a watch stays on what is hidden beneath. Where the kernel doesn't
// tell either, nothing comes.
func watchMounts(ctx context.Context) <-chan struct{} {
	told := make(chan struct{}, 1)
	f, err := os.Open(mountTable)
	if err != nil {
		return told
	}
	context.AfterFunc(ctx, func() { f.Close() })
	raw, err := f.SyscallConn()
	if err != nil {
		return told
	}
	go func() {
		// The runtime watches the edge, which is all that there is: the file
		// never stops being readable. The first call comes before any waiting, and
		// stands for what was mounted since the file was opened.
		_ = raw.Read(func(uintptr) bool {
			select {
			case told <- struct{}{}:
			default:
			}
			return false // until it is closed
		})
	}()
	return told
}

// identity is what a path leads to at the moment.
type identity struct{ device, inode uint64 }

func identityOf(path string) identity {
	var stat syscall.Stat_t
	if syscall.Stat(path, &stat) != nil {
		return identity{}
	}
	return identity{stat.Dev, stat.Ino}
}

// identify notes what the watched directories are.
func (w *watch) identify() {
	w.identities = make(map[string]identity)
	for _, path := range w.places.all() {
		w.identities[path] = identityOf(path)
	}
}

// covered says whether one of the watched directories is another one by now.
func (w *watch) covered() bool {
	for path, was := range w.identities {
		if identityOf(path) != was {
			return true
		}
	}
	return false
}
