// Package worker keeps the session table of one Jool instance in step with those of its peers. It sends the sessions that
// the kernel module reports to a multicast group or to a list of peers, and gives the module the sessions that peers send.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"joolctl/configdir"
	"joolctl/eventlog"
	"joolctl/fdstore"
	"joolctl/joolnl"
	"joolctl/nsthread"
	"joolctl/replication"
)

// Env has the dependencies that all workers of a process share.
type Env struct {
	// Threads has one thread for each namespace. A worker sends its requests to the module from such a thread, because the
	// module acts in the namespace of the calling thread.
	Threads *nsthread.Pool
	// Log receives messages for the operator; nil discards them.
	Log *slog.Logger
	// EventLog keeps what happens to the pairs, for `joolctl events`; nil keeps nothing.
	EventLog *eventlog.Log
	// Kernel connects to Jool's module; nil stands for the running kernel.
	Kernel Kernel
	// Store keeps the sockets of workers that end with their process for the next process, and offers those that the
	// previous process left; nil disables both.
	Store *fdstore.Store
	// Claims prevents that two pairs use the same instance, or the same group, port and interface, or the same
	// port without a group; nil allows both.
	Claims *Claims
}

const (
	// askEvery is the interval at which a worker asks the module whether its instance exists, because the module does not
	// announce that an instance was removed or recreated. askIdle is the interval without traffic. It is half of the idle
	// HELLO interval, so that every second wake-up also sends a HELLO.
	askEvery = 2 * time.Second
	askIdle  = 5 * time.Second
	// settingsEvery is the interval at which a worker reads the instance's settings. Without traffic it reads them at every
	// second askIdle.
	settingsEvery = 4 * time.Second
	// checkEvery is the longest time between two checks of the namespaces and interfaces. The supervisor calls Check when it
	// learns of a change earlier.
	checkEvery = 15 * time.Second
)

// Worker synchronises the instance of one pair. Its methods may be called from any goroutine; Run may be called once.
type Worker struct {
	env       Env
	counters  *Counters
	log       *limitedLog
	recheck   chan struct{}
	claims    []*claim // guarded by env.Claims.mu
	turns     atomic.Uint64
	followers atomic.Pointer[[]*Follower]     // nil: there are none; the list is replaced, not changed, with mu held
	thread    atomic.Pointer[nsthread.Thread] // of the instance's namespace; nil before and after Run

	mu      sync.Mutex
	current configdir.Spec
	running *pumps // nil unless Run has called ready and has not returned
	state   SyncState
	peers   []replication.PeerInfo // a copy that the instance's thread publishes
	limits  map[eventlog.Kind]*eventLimit
}

// New returns a worker for a pair. The worker opens nothing until Run is called.
func New(spec configdir.Spec, env Env, counters *Counters) *Worker {
	if env.Log == nil {
		env.Log = slog.New(slog.DiscardHandler)
	}
	return &Worker{current: spec, env: env, counters: counters,
		log: newLimitedLog(env.Log.With("pair", spec.Name)), recheck: make(chan struct{}, 1)}
}

// Run synchronises the instance. It returns nil when ctx ends, a *Missing when a resource that it needs does not exist or
// belongs to another pair, and another error when it fails. Run calls ready once, as soon as both its netlink socket and its
// network socket receive. A panic in the worker becomes an error whose text includes the stack. Run closes everything that it
// opened before it returns.
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
	w.thread.Store(thread)
	defer thread.Release()
	defer w.thread.Store(nil)
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

// Probe returns the error that would keep Run from the spec's instance: the namespace, the module or the instance does not
// exist, session synchronisation is off in the instance, or the instance belongs to another pair. It returns nil if a worker
// could use the instance. Probe does not open the network socket.
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

// Rename changes the name of the worker's pair.
func (w *Worker) Rename(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.current.Name != name {
		w.current.Name = name
		w.log.logger.Store(w.env.Log.With("pair", name))
	}
}

// Check makes the worker verify at once that its namespaces, its interfaces and its instance still exist and are still those
// that it has opened. If one is not, Run returns a *Missing.
func (w *Worker) Check() {
	select {
	case w.recheck <- struct{}{}:
	default: // a check is pending already
	}
}

// spec returns the worker's present configuration.
func (w *Worker) spec() configdir.Spec {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.current
}

func (w *Worker) setRunning(p *pumps) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running = p; p == nil {
		w.endFollowers()
	}
}

// ErrNotRunning is returned when the worker is not running.
var ErrNotRunning = errors.New("the worker is not running")

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
				result <- fmt.Errorf("panic: %v", r) // without the stack, which panicked logs
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

// askPumps is onPumps for a function with a result.
func askPumps[T any](ctx context.Context, w *Worker, fn func(*pumps) (T, error)) (none T, err error) {
	result := make(chan T, 1)
	err = w.onPumps(ctx, func(p *pumps) error {
		answer, err := fn(p)
		result <- answer
		return err
	})
	if err != nil {
		return none, err
	}
	return <-result, nil
}

// Peers returns the state of each peer heard so far, sorted by address; at most replication.MaxPeers of them.
func (w *Worker) Peers() []replication.PeerInfo {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.peers)
}

// publishPeers copies the state of the peers to where other goroutines can read it.
func (p *pumps) publishPeers() {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.w.peers = p.host.Peers.AppendInfo(p.w.peers[:0])
}

// KernelStats asks the module for the instance's counters of sessions, keyed by Jool's names (JSTAT_…). It returns
// ErrNotRunning if the worker is not running.
func (w *Worker) KernelStats(ctx context.Context) (map[string]uint64, error) {
	return askPumps(ctx, w, func(p *pumps) (map[string]uint64, error) {
		s, err := p.conn.AskStats()
		return s.Named(), err
	})
}

// ModuleCounters asks the module for all counters of the instance. It returns ErrNotRunning if the worker is not running.
func (w *Worker) ModuleCounters(ctx context.Context) (*joolnl.ModuleCounters, error) {
	return askPumps(ctx, w, func(p *pumps) (*joolnl.ModuleCounters, error) {
		all, err := p.conn.AskCounters()
		return &all, err
	})
}

// ModuleVersion returns the version of Jool's module, or "" if the worker is not running.
func (w *Worker) ModuleVersion() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running == nil {
		return ""
	}
	return w.running.version.String()
}
