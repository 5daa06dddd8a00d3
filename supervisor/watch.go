package supervisor

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// quiet is how long nothing has to happen before a change counts as
	// complete: a file written byte by byte is one change.
	quiet = 300 * time.Millisecond
	// rescanPeriod is how often the directory is looked at without an event;
	// events get lost.
	rescanPeriod = 30 * time.Second
	// blindPeriod is that where the kernel gives us no events at all.
	blindPeriod = 2 * time.Second
	// maxWatches bounds what a directory full of directories can cost.
	maxWatches = 4096
)

// Watch calls changed when a directory of pairs, or a file in it, may have
// changed, until ctx ends. Events are hints only: whoever is called reads and
// compares. Every now and then it is called without one, unless all files look
// as they did and calm says that nothing was wrong with them.
func Watch(ctx context.Context, log *slog.Logger, dir string, changed func(), calm func() bool) {
	if absolute, err := filepath.Abs(dir); err == nil {
		dir = absolute
	}
	w := &watch{dir: dir, log: log, changed: changed, calm: calm, slow: rescanPeriod}
	defer w.close()
	w.renew()
	w.tell() // for what happened before there were watches
	w.loop(ctx)
}

type watch struct {
	dir     string
	log     *slog.Logger
	changed func()
	calm    func() bool
	watcher *fsnotify.Watcher
	places  places
	blind   bool
	slow    time.Duration // rescanPeriod, but in tests
	// seen is how the files looked before they were last read, certain that a
	// later change makes them look otherwise.
	seen    stamp
	certain bool
	// identities are what the watched directories were when the watches were put
	// on them.
	identities map[string]identity
}

func (w *watch) loop(ctx context.Context) {
	settled := time.NewTimer(quiet)
	settled.Stop()
	slow := time.NewTimer(w.period())
	defer settled.Stop()
	defer slow.Stop()
	structural := false
	mounts := watchMounts(ctx)
	for {
		var events chan fsnotify.Event
		var problems chan error
		if w.watcher != nil {
			events, problems = w.watcher.Events, w.watcher.Errors
		}
		select {
		case <-ctx.Done():
			return
		case event := <-events:
			relevant, moves := w.places.judge(event)
			structural = structural || moves
			if relevant {
				settled.Reset(quiet)
			}
			continue
		case <-problems: // an overflow, most likely
			structural = true
			settled.Reset(quiet)
			continue
		case <-mounts:
			if w.covered() {
				structural = true
				settled.Reset(quiet)
			}
			continue
		case <-slow.C:
			if w.unchanged() {
				slow.Reset(w.period())
				continue
			}
			structural = true
		case <-settled.C:
		}
		if structural {
			w.renew()
			structural = false
		}
		w.tell()
		settled.Stop()
		slow.Reset(w.period())
	}
}

// tell has the directory read.
func (w *watch) tell() {
	seen, ok := stampOf(w.dir, w.places.keyFiles...)
	w.seen, w.certain = seen, ok && seen.settled(time.Now())
	w.changed()
}

// unchanged reports whether reading the directory again would find what was there
// the last time. Where there are no events, all is always read.
func (w *watch) unchanged() bool {
	if w.blind || !w.certain || !w.calm() {
		return false
	}
	now, ok := stampOf(w.dir, w.places.keyFiles...)
	return ok && now == w.seen
}

func (w *watch) period() time.Duration {
	if w.blind {
		return blindPeriod
	}
	return w.slow
}

// renew watches everything anew. A watch follows the directory that it was put
// on, not the name, so it is of no use once names have moved; new ones are
// cheap.
func (w *watch) renew() {
	fresh, err := fsnotify.NewWatcher()
	if err == nil {
		w.places = placesOf(w.dir)
		w.identify()
		for _, place := range w.places.all() {
			// What is gone again shows in an event of its parent.
			if e := fresh.Add(place); errors.Is(e, fsnotify.ErrClosed) || isLimit(e) {
				err = e
			}
		}
	}
	if err != nil && !w.blind {
		w.log.Warn("the kernel does not tell of every change; the directory is read every two seconds",
			"error", err, "next", "raise fs.inotify.max_user_watches and max_user_instances")
	}
	w.blind = err != nil
	w.close()
	w.watcher = fresh
}

func (w *watch) close() {
	if w.watcher != nil {
		w.watcher.Close()
	}
}
