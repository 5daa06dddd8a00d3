package events

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"

	"github.com/fsnotify/fsnotify"

	"joolctl/nsthread"
)

// namesDir is the directory in which `ip netns` mounts namespaces. It does not exist before the first one.
const namesDir = "/run/netns"

// pathOf returns the path of a namespace's file as the kernel spells it in events, without symbolic links in the
// directory.
func pathOf(ns string) string {
	path := nsthread.Path(ns)
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(dir, filepath.Base(path))
	}
	return filepath.Clean(path)
}

// names watches the directories that contain namespaces' names.
type names struct {
	watcher *fsnotify.Watcher // nil if the process got no inotify instance

	mu   sync.Mutex
	dirs map[string]bool
}

func newNames(log *slog.Logger) *names {
	n := &names{dirs: make(map[string]bool)}
	var err error
	if n.watcher, err = fsnotify.NewWatcher(); err != nil {
		log.Warn("changes of namespaces are noticed late", "error", err, "next", "raise fs.inotify.max_user_instances")
		return n
	}
	n.add(filepath.Dir(namesDir))
	n.add(namesDir)
	return n
}

// follow also watches the directories of these places. It never stops watching a directory, because there are
// few.
func (n *names) follow(places map[string]*place) {
	for _, p := range places {
		if !silent(p.path) {
			n.add(filepath.Dir(p.path))
		}
	}
}

// silent reports whether the kernel announces no changes of a path.
func silent(path string) bool { return strings.HasPrefix(path, "/proc/") }

func (n *names) add(dir string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.watcher == nil || n.dirs[dir] {
		return
	}
	// A directory that does not exist yet is tried again when it is created.
	n.dirs[dir] = n.watcher.Add(dir) == nil
}

// again renews the watch of a directory that was deleted and created.
func (n *names) again(dir string) {
	n.mu.Lock()
	known := n.dirs[dir]
	_, tried := n.dirs[dir]
	delete(n.dirs, dir)
	n.mu.Unlock()
	if known {
		_ = n.watcher.Remove(dir) // an error means that the directory does not exist
	}
	if tried {
		n.add(dir)
	}
}

// run calls moved for each path that is created, deleted or renamed, and moved("") if any path may be affected.
func (n *names) run(ctx context.Context, moved func(path string)) {
	if n.watcher == nil {
		return
	}
	defer n.watcher.Close()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-n.watcher.Events:
			if !e.Has(fsnotify.Create) && !e.Has(fsnotify.Remove) && !e.Has(fsnotify.Rename) {
				continue
			}
			if n.isDir(e.Name) {
				n.again(e.Name)
				moved("") // files may have been created before the watch
				continue
			}
			moved(e.Name)
		case <-n.watcher.Errors: // most likely an overflow of the event queue
			moved("")
		}
	}
}

func (n *names) isDir(path string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, ok := n.dirs[path]
	return ok
}
