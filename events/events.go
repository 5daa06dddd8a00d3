// Package events tells when something that workers depend on may have changed:
// Jool's module, network namespaces, links and their addresses. It tells where
// to look, never what is there. What the kernel doesn't announce, or announced
// while nobody listened, is left to its callers' own polls.
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

// Watcher watches the module and the namespaces that it is told to follow.
type Watcher struct {
	threads *nsthread.Pool
	log     *slog.Logger

	mu     sync.Mutex
	wanted map[string]bool
	places map[string]*place
	// start is what Run does to a new place; nil while it doesn't run.
	start func(*place)
	names *names
}

// New makes a watcher; it does nothing before Run. Threads of followed
// namespaces come from the pool. A nil log discards.
func New(threads *nsthread.Pool, log *slog.Logger) *Watcher {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Watcher{threads: threads, log: log, wanted: make(map[string]bool), places: make(map[string]*place)}
}

// Follow watches these namespaces (see nsthread.Path), and lets go of all
// others: of the threads inside them too. It does not wait.
func (w *Watcher) Follow(namespaces []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wanted = make(map[string]bool, len(namespaces))
	for _, ns := range namespaces {
		w.wanted[ns] = true
	}
	w.settle()
}

// settle makes places what is wanted. With mu held.
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

// Run calls changed, from goroutines of its own, whenever something may have
// changed in a namespace, or, if all is true, anywhere; until ctx ends.
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
	// A thread that hangs in the kernel is nobody's to wait for.
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

// sweep looks at the names of all places every now and then, until ctx ends, and
// wakes those up whose name leads elsewhere: hundreds of others sleep on.
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

// grace is what the watcher's parts have to end in.
const grace = time.Second

// moved has the places look whose names may lead elsewhere now: those of a
// path, or all of them for "".
func (w *Watcher) moved(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.places {
		if path == "" || path == p.path {
			p.look()
		}
	}
}
