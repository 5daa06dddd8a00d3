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
	// quiet is how long no event must occur before a change counts as complete: a file written byte by byte is one
	// change.
	quiet = 300 * time.Millisecond
	// rescanPeriod is how often the directory is checked without an event, because events can be lost.
	rescanPeriod = 30 * time.Second
	// blindPeriod replaces rescanPeriod where the kernel provides no events.
	blindPeriod = 2 * time.Second
	// maxWatches limits the cost of a directory with many directories in it.
	maxWatches = 4096
)

// Watch calls changed when a directory of pairs, or a file in it, may have changed, until ctx ends. A call is only a
// hint: changed must read the directory and compare. Watch also calls changed periodically without an event, unless the
// metadata of all files is unchanged and calm reports that the last reading found no error.
func Watch(ctx context.Context, log *slog.Logger, dir string, changed func(), calm func() bool) {
	if absolute, err := filepath.Abs(dir); err == nil {
		dir = absolute
	}
	w := &watch{dir: dir, log: log, changed: changed, calm: calm, slow: rescanPeriod}
	defer w.close()
	w.renew()
	w.reportChange() // for changes before the watches were set
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
	slow    time.Duration // rescanPeriod, except in tests
	// seen is the stamp of the files before they were last read. If certain is true, any later change changes the stamp.
	seen    stamp
	certain bool
	// identities are the identities of the watched directories when the watches were set.
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
		w.reportChange()
		settled.Stop()
		slow.Reset(w.period())
	}
}

// reportChange calls changed.
func (w *watch) reportChange() {
	seen, ok := stampOf(w.dir, w.places.keyFiles...)
	w.seen, w.certain = seen, ok && seen.settled(time.Now())
	w.changed()
}

// unchanged reports whether reading the directory again would return the same result as the last time. Without events
// from the kernel it is always false.
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

// renew replaces all watches. A watch follows the directory, not its path, so it is useless once a path leads to another
// directory. New watches are cheap.
func (w *watch) renew() {
	fresh, err := fsnotify.NewWatcher()
	if err == nil {
		w.places = placesOf(w.dir)
		w.identify()
		for _, place := range w.places.all() {
			// If the directory was removed again, its parent gets an event.
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
