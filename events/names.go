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

// namesDir is where `ip netns` keeps names. It is made with the first of them.
const namesDir = "/run/netns"

// pathOf is a namespace's file as the kernel names it in events.
func pathOf(ns string) string {
	path := nsthread.Path(ns)
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(dir, filepath.Base(path))
	}
	return filepath.Clean(path)
}

// names watches the directories in which namespaces have their names.
type names struct {
	log     *slog.Logger
	watcher *fsnotify.Watcher // nil: the kernel has none for us

	mu   sync.Mutex
	dirs map[string]bool
}

func newNames(log *slog.Logger) *names {
	n := &names{log: log, dirs: make(map[string]bool)}
	var err error
	if n.watcher, err = fsnotify.NewWatcher(); err != nil {
		log.Warn("changes of namespaces are noticed late", "error", err, "next", "raise fs.inotify.max_user_instances")
		return n
	}
	n.add(filepath.Dir(namesDir))
	n.add(namesDir)
	return n
}

// follow watches the directories of these places too. Directories are few, and
// stay watched.
func (n *names) follow(places map[string]*place) {
	for _, p := range places {
		if !silent(p.path) {
			n.add(filepath.Dir(p.path))
		}
	}
}

// silent is true for paths whose changes are not announced.
func silent(path string) bool { return strings.HasPrefix(path, "/proc/") }

func (n *names) add(dir string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.watcher == nil || n.dirs[dir] {
		return
	}
	// One that does not exist yet is tried again when something moves.
	n.dirs[dir] = n.watcher.Add(dir) == nil
}

// again watches a directory that was made anew.
func (n *names) again(dir string) {
	n.mu.Lock()
	known := n.dirs[dir]
	_, tried := n.dirs[dir]
	delete(n.dirs, dir)
	n.mu.Unlock()
	if known {
		_ = n.watcher.Remove(dir) // it may be gone
	}
	if tried {
		n.add(dir)
	}
}

// run calls moved for each path that appears or goes, and with "" if that may
// have been any.
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
				moved("") // what has happened in it meanwhile
				continue
			}
			moved(e.Name)
		case <-n.watcher.Errors: // an overflow, most likely
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
