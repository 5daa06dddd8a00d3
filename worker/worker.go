// Package worker keeps one Jool instance in step with its peers: it carries
// sessions from the kernel module to a multicast group and back.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"joolctl/configdir"
	"joolctl/fdstore"
	"joolctl/joolnl"
	"joolctl/nsthread"
	"joolctl/replication"
)

// Env is what all workers of a process share.
type Env struct {
	// Threads are where requests to the module are sent from.
	Threads *nsthread.Pool
	// Log takes what an operator should read; nil discards it.
	Log *slog.Logger
	// Kernel reaches the Jool modules; nil is the real thing.
	Kernel Kernel
	// Store takes the sockets of workers that end with their process, and has
	// those of the process before; nil: there is none.
	Store *fdstore.Store
	// Claims keep two pairs from one instance, and from one group, port and interface;
	// nil allows both.
	Claims *Claims
}

const (
	// askEvery is how often a worker asks the module for its instance: nothing
	// announces that one is removed, or made anew. askIdle is that without
	// traffic: every second time HELLO is due too.
	askEvery = 2 * time.Second
	askIdle  = 5 * time.Second
	// settingsEvery is how often it asks for the instance's settings; without traffic,
	// every second time that it asks for the instance.
	settingsEvery = 4 * time.Second
	// checkEvery is how often, at least, it looks at its namespaces and interfaces too.
	// Whoever knows of a change calls Check.
	checkEvery = 15 * time.Second
)

// Worker serves one pair. Its methods may be called from any goroutine; Run
// may be called once.
type Worker struct {
	env      Env
	counters *Counters
	log      *limitedLog
	recheck  chan struct{}
	claims   []*claim // guarded by env.Claims.mu

	mu      sync.Mutex
	current configdir.Spec
	running *pumps // nil while Run does not listen
	state   SyncState
	peers   []replication.PeerInfo // as the instance's thread has last published them
}

// New makes a worker for a pair; it does nothing before Run.
func New(spec configdir.Spec, env Env, counters *Counters) *Worker {
	log := env.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Worker{current: spec, env: env, counters: counters,
		log: newLimitedLog(log.With("pair", spec.Name)), recheck: make(chan struct{}, 1)}
}

// Run carries sessions until ctx ends (nil), something that it needs is missing
// (an error that is a *Missing) or it fails. ready is called once, as soon as
// it listens both ways. A panic inside becomes an error with the stack in its
// text. Everything that Run opened is closed when it returns.
func (w *Worker) Run(ctx context.Context, ready func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicError(p)
		}
		err = explained(err)
	}()
	spec := w.spec()
	thread, err := getThread(w.env.Threads, spec.Namespace)
	if err != nil {
		return err
	}
	defer thread.Release()
	p := newPumps(w)
	p.thread = thread
	defer w.env.Claims.dropAll(w)
	whole := false
	defer func() { p.close(whole) }()
	if err := p.open(spec); err != nil {
		return err
	}
	w.setRunning(p)
	defer w.setRunning(nil)
	ready()
	err = p.watch(ctx)
	whole = err == nil || errors.As(err, new(*Missing))
	return err
}

// Probe reports, as Run would, what keeps a worker from the spec's instance: the
// namespace, the module or the instance is missing, does not synchronise, or is
// another pair's. nil: nothing does. It opens nothing else.
func Probe(spec configdir.Spec, env Env) (err error) {
	defer func() { err = explained(err) }()
	thread, err := getThread(env.Threads, spec.Namespace)
	if err != nil {
		return err
	}
	defer thread.Release()
	w := New(spec, env, new(Counters))
	if doErr := thread.Do(func() {
		var c *joolnl.Conn
		if c, _, err = w.dial(spec); err == nil {
			c.Close()
		}
	}); doErr != nil {
		return doErr
	}
	if err != nil {
		return err
	}
	defer env.Claims.dropAll(w)
	_, err = w.claimInstance(thread.ID(), spec)
	return err
}

// Rename gives the worker's pair another name.
func (w *Worker) Rename(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.current.Name = name
}

// Check has the worker look at once whether everything that it depends on is
// still there, and what it was. Run ends with a *Missing if it is not.
func (w *Worker) Check() {
	select {
	case w.recheck <- struct{}{}:
	default: // it is about to
	}
}

// spec is what the worker runs with now.
func (w *Worker) spec() configdir.Spec {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.current
}

func (w *Worker) setRunning(p *pumps) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running = p
}

// ErrNotRunning is what a worker answers that does not listen.
var ErrNotRunning = errors.New("the worker is not running")

// onInstance has fn speak to the module from the instance's thread.
func (w *Worker) onInstance(ctx context.Context, fn func(*joolnl.Conn) error) error {
	return w.onPumps(ctx, func(p *pumps) error { return fn(p.conn) })
}

// onPumps calls fn on the instance's thread.
func (w *Worker) onPumps(ctx context.Context, fn func(*pumps) error) error {
	w.mu.Lock()
	p := w.running
	w.mu.Unlock()
	if p == nil {
		return ErrNotRunning
	}
	result := make(chan error, 1)
	err := p.thread.Post(func() {
		defer func() {
			if r := recover(); r != nil {
				p.panicked(r)
				result <- fmt.Errorf("panic: %v", r) // whoever asks does not need the stack
			}
		}()
		if p.conn == nil {
			result <- ErrNotRunning
			return
		}
		p.borrow(func() { result <- fn(p) })
	})
	if err != nil {
		return ErrNotRunning
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Peers returns what is known of the hosts heard so far, by address; at most replication.MaxPeers.
func (w *Worker) Peers() []replication.PeerInfo {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.peers)
}

// publishPeers makes what is known of the peers visible to other goroutines.
func (p *pumps) publishPeers() {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.w.peers = p.peers.AppendInfo(p.w.peers[:0])
}

// KernelStats asks the module for the instance's counters that concern
// sessions, by Jool's names (JSTAT_…). It fails while Run does not listen.
func (w *Worker) KernelStats(ctx context.Context) (map[string]uint64, error) {
	stats := make(chan map[string]uint64, 1)
	err := w.onInstance(ctx, func(c *joolnl.Conn) error {
		s, err := c.AskStats()
		stats <- s.Named()
		return err
	})
	if err != nil {
		return nil, err
	}
	return <-stats, nil
}

// ModuleVersion is the Jool module's version, "" while Run does not listen.
func (w *Worker) ModuleVersion() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running == nil {
		return ""
	}
	return w.running.version.String()
}
