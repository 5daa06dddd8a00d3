// Package supervisor keeps one worker running for every pair of a directory, and answers requests about them on a
// control socket.
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"joolctl/configdir"
	"joolctl/eventlog"
	"joolctl/fdstore"
)

// Options configure a Supervisor.
type Options struct {
	// Dir is the directory of pairs.
	Dir string
	// Socket is the path of the control socket; "": there is none.
	Socket string
	// Version is the program's version, for status.
	Version string
	// NewWorker and OpenStats make the worker and the stats server of a pair.
	NewWorker NewWorker
	OpenStats OpenStats
	// Probe checks whether a pair's instance exists, as worker.Probe does.
	Probe func(configdir.Spec) error
	// Watch calls changed when the directory may have changed, until ctx ends. calm reports whether the last reading of
	// the directory found no error. nil: only Reload reads the directory again.
	Watch func(ctx context.Context, dir string, changed func(), calm func() bool)
	// Events reports where objects that workers depend on may have appeared or disappeared; nil: the workers only poll.
	Events Events
	// EventLog stores the events of the pairs; nil stores none.
	EventLog *eventlog.Log
	// Store has the sockets and counters of the previous process, and stores those of this one; nil: there is no store.
	Store *fdstore.Store
	// Notify receives messages in the format of sd_notify; nil discards them.
	Notify func(message string)
	// Watchdog is the interval in which systemd expects a notification; 0: systemd does not watch.
	Watchdog time.Duration
	// Metrics makes the handler for /v1/metrics of the control API, which writes the supervisor's metrics; nil: the API
	// has no metrics.
	Metrics func(*Supervisor) http.Handler
	// Log receives the messages for the operator; nil discards them.
	Log *slog.Logger
	// LogLevel is the lowest level that Log writes; nil: it cannot be changed.
	LogLevel *slog.LevelVar
}

// ErrStopping is returned by the methods of a supervisor that is stopping.
var ErrStopping = errors.New("the supervisor is stopping")

// Supervisor runs the pairs of one directory. Only the goroutine of Run uses its state; other goroutines send functions
// to it.
type Supervisor struct {
	opt     Options
	log     *slog.Logger
	started time.Time

	inbox chan func()
	// downed is closed when Down was called. stopped is closed when all workers have ended or were given up, and the
	// socket is free for another supervisor.
	downed  chan struct{}
	down    func()
	stopped chan struct{}
	// calm is true if the last reading of the directory found no error.
	calm atomic.Bool

	// The fields below are used only on the goroutine of Run.

	pairs    map[string]*pair
	stopping map[*keeper]bool
	closing  bool
	scan     scan
	waiters  []*waiter
	// troubled is the error of reading the directory; "": it could be read.
	troubled string
	notified string
	// following are the namespaces that Events watches. moving is true when they may have changed.
	following map[string]bool
	moving    bool
	// counts are the pairs' counters that the previous process stored. They are dropped after the first reading of the
	// directory.
	counts map[string]map[string]uint64
	// hung lists the workers that did not stop in time.
	hung []string
	// tidy fires when memory should be returned to the system; tidies counts the times left.
	tidy   <-chan time.Time
	tidies int
	// starving is true while the watchdog is not notified.
	starving bool
	// followers has one element for each request that waits for events.
	followers chan struct{}
	// streams has one element for each request that follows sessions.
	streams chan struct{}
	// moved, in tests, is called at every change of a state.
	moved func(from, to State)
}

// New makes a supervisor. It does nothing before Run.
func New(opt Options) *Supervisor {
	log := opt.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Supervisor{
		opt: opt, log: log,
		inbox:     make(chan func()),
		downed:    make(chan struct{}),
		stopped:   make(chan struct{}),
		pairs:     make(map[string]*pair),
		stopping:  make(map[*keeper]bool),
		followers: make(chan struct{}, maxFollowers),
		streams:   make(chan struct{}, maxStreams),
	}
	s.down = sync.OnceFunc(func() { close(s.downed) })
	return s
}

const (
	// grace is how long the workers may take to stop. The whole supervisor has two seconds.
	grace = 1500 * time.Millisecond
	// tidyAfter is how long after the last start of a worker the memory that only the start needed is returned to the
	// system. tidyTimes is how often that happens: a stack shrinks by half each time.
	tidyAfter = 10 * time.Second
	tidyTimes = 3
	// repairPeriod is how often a change that failed beside a running worker is tried again.
	repairPeriod = time.Second
)

// Run supervises the pairs until ctx ends or Down is called, then stops every worker. The stop takes at most two
// seconds, even if a worker hangs. Run returns an error if the directory can't be read at the start, or if another
// supervisor has the socket.
func (s *Supervisor) Run(ctx context.Context) error {
	s.started = time.Now()
	var control *control
	if s.opt.Socket != "" {
		var err error
		if control, err = listen(s.opt.Socket, s.log); err != nil {
			return err
		}
		defer control.release()
	}
	first, err := configdir.Read(s.opt.Dir)
	if err != nil {
		return err
	}
	s.takeOverState()
	s.apply(first)
	s.counts = nil
	var background sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	if control != nil {
		background.Go(func() { control.serve(s) })
	}
	if s.opt.Events != nil {
		s.follow()
		background.Go(func() { s.opt.Events.Run(ctx, s.checkDependencies) })
	}
	if s.opt.Watch != nil {
		background.Go(func() { s.opt.Watch(ctx, s.opt.Dir, s.changed, s.calm.Load) })
	}
	s.log.Info("supervisor runs", "directory", s.opt.Dir, "pairs", len(s.pairs), "socket", s.opt.Socket)
	s.notifySummary()
	all := slices.Collect(maps.Values(s.pairs))
	background.Go(func() { s.announce(ctx, all) })
	s.loop(ctx)
	s.notify("STOPPING=1")
	cancel()
	s.stopAll()
	if control != nil {
		// Released before callers learn that the supervisor has stopped, so that another one can start at once.
		control.release()
	}
	close(s.stopped)
	if control != nil {
		control.finish()
	}
	background.Wait()
	s.log.Info("supervisor stopped")
	return nil
}

// announce tells systemd that the supervisor is ready once each of the first pairs has reached a state, or patience has
// ended. A command after the start in a script, such as `joolctl status`, then finds the workers running.
func (s *Supervisor) announce(ctx context.Context, first []*pair) {
	s.settle(ctx, first)
	_ = s.do(ctx, func() error { // READY must not follow STOPPING
		s.notify("READY=1")
		return nil
	})
}

func (s *Supervisor) loop(ctx context.Context) {
	var repair <-chan time.Time
	period := CheckPeriod(s.opt.Watchdog)
	check := time.NewTicker(period)
	defer check.Stop()
	sampling := time.NewTicker(sampleEvery)
	defer sampling.Stop()
	for {
		if repair == nil && s.wantsRepair() {
			repair = time.After(repairPeriod)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.downed:
			return
		case f := <-s.inbox:
			f()
			s.startPending()
			s.follow()
			s.wake()
			s.notifySummary()
		case <-repair:
			repair = nil
			s.repair()
		case <-s.tidy:
			s.tidyUp()
		case <-check.C:
			s.checkProgress(period)
			s.startPending()
			s.notifySummary()
		case <-sampling.C:
			s.sampleAll()
		}
	}
}

// startedOne schedules the return of memory to the system.
func (s *Supervisor) startedOne() {
	s.tidy, s.tidies = time.After(tidyAfter), tidyTimes
}

func (s *Supervisor) tidyUp() {
	go debug.FreeOSMemory()
	s.tidy = nil
	if s.tidies--; s.tidies > 0 {
		s.tidy = time.After(tidyAfter)
	}
}

// stopAll stops all workers at the same time and waits until they have ended, at most for grace.
func (s *Supervisor) stopAll() {
	s.closing = true
	s.opt.Store.Leave()
	for _, p := range s.pairs {
		s.stop(p)
		p.closeStats()
	}
	defer s.leaveState()
	late := time.After(grace)
	for len(s.stopping) > 0 {
		select {
		case f := <-s.inbox:
			f()
		case <-late:
			for k := range s.stopping {
				name := k.spec.Load().Name
				s.hung = append(s.hung, name)
				s.log.Error("worker does not stop; left behind", "pair", name)
			}
			return
		}
	}
}

// post sends a function to the goroutine of Run, unless the supervisor has stopped.
func (s *Supervisor) post(f func()) {
	select {
	case s.inbox <- f:
	case <-s.stopped:
	}
}

// do runs a function on the goroutine of Run and waits for it.
func (s *Supervisor) do(ctx context.Context, f func() error) error {
	result := make(chan error, 1)
	ask := func() {
		if s.closing {
			result <- ErrStopping
		} else {
			result <- f()
		}
	}
	select {
	case s.inbox <- ask:
	case <-s.stopped:
		return ErrStopping
	case <-ctx.Done():
		return fmt.Errorf("the supervisor is busy: %w", ctx.Err())
	}
	select {
	case err := <-result:
		return err
	case <-s.stopped:
		return ErrStopping
	}
}

// Down ends Run. It returns when the workers have stopped, with the names of those that did not stop in time.
func (s *Supervisor) Down(ctx context.Context) (hung []string, err error) {
	s.down()
	select {
	case <-s.stopped:
		return s.hung, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// notify sends a message to systemd.
func (s *Supervisor) notify(message string) {
	if s.opt.Notify != nil {
		s.opt.Notify(message)
	}
}

// notifySummary sends systemd the number of workers by state when it changes.
func (s *Supervisor) notifySummary() {
	if now := s.summary(); now != s.notified {
		s.notified = now
		s.notify(now)
	}
}

func (s *Supervisor) summary() string {
	count := make(map[State]int)
	for _, p := range s.pairs {
		count[p.state]++
	}
	text := fmt.Sprintf("STATUS=%d workers", len(s.pairs))
	for i, state := range []State{Running, Waiting, Backoff, Failed} {
		separator := ", "
		if i == 0 {
			separator = ": "
		}
		text += fmt.Sprintf("%s%d %s", separator, count[state], state)
	}
	return text
}
