// Package events reports when a resource that workers depend on may have changed: Jool's module, network
// namespaces, links and their addresses. A report says where to look, not what changed. Some changes go
// unreported: those that the kernel does not announce, and those while no socket listened. Callers must poll for
// these.
package events

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"joolctl/nsthread"
)

// Watcher watches the module and the namespaces that Follow names.
type Watcher struct {
	threads *nsthread.Pool
	log     *slog.Logger

	mu     sync.Mutex
	wanted map[string]bool
	places map[string]*place
	// start runs a new place; nil while Run does not run.
	start func(*place)
	names *names
}

// New returns a Watcher, which does nothing before Run. It takes the threads of followed namespaces from the
// pool. A nil log discards.
func New(threads *nsthread.Pool, log *slog.Logger) *Watcher {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Watcher{threads: threads, log: log, wanted: make(map[string]bool), places: make(map[string]*place)}
}

// Follow sets the namespaces to watch (see nsthread.Path). The Watcher stops watching all others and releases
// their threads. Follow does not wait.
func (w *Watcher) Follow(namespaces []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wanted = make(map[string]bool, len(namespaces))
	for _, ns := range namespaces {
		w.wanted[ns] = true
	}
	w.settle()
}

// settle starts and stops places so that they match wanted. The caller holds mu.
func (w *Watcher) settle() {
	if w.start == nil {
		return
	}
	for ns, p := range w.places {
		if !w.wanted[ns] {
			p.stop()
			delete(w.places, ns)
		}
	}
	for ns := range w.wanted {
		if w.places[ns] == nil {
			p := newPlace(ns, w.threads, w.log)
			w.places[ns] = p
			w.start(p)
		}
	}
	w.names.follow(w.places)
}

// Run calls changed when a resource in a namespace may have changed or, if all is true, in any namespace. The
// calls come from several goroutines. Run returns when ctx ends.
func (w *Watcher) Run(ctx context.Context, changed func(namespace string, all bool)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	w.mu.Lock()
	w.names = newNames(w.log)
	w.start = func(p *place) {
		ctx, stop := context.WithCancel(ctx)
		p.stop = stop
		running.Go(func() { p.run(ctx, func() { changed(p.namespace, false) }) })
	}
	w.settle()
	w.mu.Unlock()
	running.Go(func() { w.names.run(ctx, w.moved) })
	running.Go(func() { watchModule(ctx, w.log, func() { changed("", true) }) })
	w.sweep(ctx)
	w.mu.Lock()
	w.start = nil
	clear(w.places)
	w.mu.Unlock()
	// A thread that hangs in the kernel must not keep Run from returning.
	ended := make(chan struct{})
	go func() {
		running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(grace):
	}
}

// sweep checks the names of all places every sweepPeriod until ctx ends, and wakes only the places whose names
// lead to another namespace than before, so that hundreds of others stay asleep.
func (w *Watcher) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepPeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		w.mu.Lock()
		places := slices.Collect(maps.Values(w.places))
		w.mu.Unlock()
		for _, p := range places {
			if !p.settled() {
				signal(p.swept)
			}
		}
	}
}

// grace bounds how long Run waits for its goroutines at the end.
const grace = time.Second

// moved makes places look up their names again: those with this path, or all of them for "".
func (w *Watcher) moved(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.places {
		if path == "" || path == p.path {
			p.look()
		}
	}
}
