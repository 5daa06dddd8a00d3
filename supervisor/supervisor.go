// Package supervisor keeps a worker running for every pair of a directory, and
// answers for them on a control socket.
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

// Options are what a Supervisor is made of.
type Options struct {
	// Dir is the directory of pairs.
	Dir string
	// Socket is the path of the control socket; "" does without.
	Socket string
	// Version is the program's, as status tells it.
	Version string
	// NewWorker and OpenStats make what the pairs need.
	NewWorker NewWorker
	OpenStats OpenStats
	// Probe looks whether a pair's instance is there, as worker.Probe does.
	Probe func(configdir.Spec) error
	// Watch calls changed when the directory may have changed, until ctx ends; calm
	// says that the last reading found nothing wrong. nil leaves it to Reload.
	Watch func(ctx context.Context, dir string, changed func(), calm func() bool)
	// Events tells where something may have appeared or gone that workers depend
	// on; nil leaves it to polls.
	Events Events
	// EventLog keeps what happens to the pairs; nil keeps nothing.
	EventLog *eventlog.Log
	// Store has what the process before has left, and takes what this one leaves;
	// nil: there is none.
	Store *fdstore.Store
	// Notify takes messages of sd_notify's form; nil discards them.
	Notify func(message string)
	// Watchdog is the time within which systemd wants to hear from the supervisor again; 0: systemd does not watch.
	Watchdog time.Duration
	// Metrics makes the handler that answers /v1/metrics of the control API with the metrics of the supervisor; nil: the API has none.
	Metrics func(*Supervisor) http.Handler
	// Log takes what an operator should read; nil discards it.
	Log *slog.Logger
	// LogLevel is the lowest level that Log takes; nil: it cannot be changed.
	LogLevel *slog.LevelVar
}

// ErrStopping is the answer to whoever asks a supervisor that stops.
var ErrStopping = errors.New("the supervisor is stopping")

// Supervisor runs the pairs of one directory. One goroutine, Run's, owns its
// state; everybody else sends it functions.
type Supervisor struct {
	opt     Options
	log     *slog.Logger
	started time.Time

	inbox chan func()
	// downed is closed when somebody asked for an end, stopped when all workers
	// have ended or been given up, and the socket is free for a successor.
	downed  chan struct{}
	down    func()
	stopped chan struct{}
	// calm is whether the last reading of the directory found nothing wrong.
	calm atomic.Bool

	// What follows is the owner's.

	pairs    map[string]*pair
	stopping map[*keeper]bool
	closing  bool
	scan     scan
	waiters  []*waiter
	// troubled is the directory's own problem, "" if it could be read.
	troubled string
	notified string
	// following are the namespaces that Events follows; moving, that they may be
	// others by now.
	following map[string]bool
	moving    bool
	// counts are the pairs' counters as the process before has left them, until the
	// first reading of the directory.
	counts map[string]map[string]uint64
	// hung are the workers that did not stop in time.
	hung []string
	// tidy is when memory is given back, and tidies how often yet.
	tidy   <-chan time.Time
	tidies int
	// starving is true while the watchdog is not notified.
	starving bool
	// followers has an element for each request that waits for events.
	followers chan struct{}
	// streams has an element for each request that follows sessions.
	streams chan struct{}
	// moved, in tests, is told of every change of a state.
	moved func(from, to State)
}

// New makes a supervisor; it does nothing before Run.
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
	// grace is what workers have to stop in, of the two seconds that the whole
	// supervisor has.
	grace = 1500 * time.Millisecond
	// tidyAfter is how long after the last worker's start memory that only starting
	// needed is given back to the system, and tidyTimes how often: a stack shrinks
	// by half each time.
	tidyAfter = 10 * time.Second
	tidyTimes = 3
	// repairPeriod is how often is tried again what could not be done beside a
	// running worker.
	repairPeriod = time.Second
)

// Run supervises until ctx ends or Down is called, then stops every worker;
// within two seconds, though one of them hangs. It fails if the directory
// can't be read at the start, or if somebody else has the socket.
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
		background.Go(func() { s.opt.Events.Run(ctx, s.stirred) })
	}
	if s.opt.Watch != nil {
		background.Go(func() { s.opt.Watch(ctx, s.opt.Dir, s.changed, s.calm.Load) })
	}
	s.log.Info("supervisor runs", "directory", s.opt.Dir, "pairs", len(s.pairs), "socket", s.opt.Socket)
	s.tell()
	all := slices.Collect(maps.Values(s.pairs))
	background.Go(func() { s.announce(ctx, all) })
	s.loop(ctx)
	s.notify("STOPPING=1")
	cancel()
	s.stopAll()
	if control != nil {
		// Before anybody is told that it has stopped, so that a successor can
		// start at once.
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

// announce tells systemd that the supervisor is ready once each of the first pairs has reached a state, or patience has ended:
// what follows the start in a script, such as `joolctl status`, finds them running.
func (s *Supervisor) announce(ctx context.Context, first []*pair) {
	s.settle(ctx, first)
	_ = s.do(ctx, func() error { // not behind STOPPING
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
			s.tell()
		case <-repair:
			repair = nil
			s.repair()
		case <-s.tidy:
			s.tidyUp()
		case <-check.C:
			s.checkProgress(period)
			s.startPending()
			s.tell()
		case <-sampling.C:
			s.sampleAll()
		}
	}
}

// startedOne has memory given back in a while.
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

// stopAll stops every worker at once and waits for as many as end in time.
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

// post sends the owner a function, unless the supervisor has stopped.
func (s *Supervisor) post(f func()) {
	select {
	case s.inbox <- f:
	case <-s.stopped:
	}
}

// do has the owner run a function and waits for it.
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

// Down ends Run; it returns when the workers have stopped, with the names of
// those that did not.
func (s *Supervisor) Down(ctx context.Context) (hung []string, err error) {
	s.down()
	select {
	case <-s.stopped:
		return s.hung, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// notify tells systemd what is new.
func (s *Supervisor) notify(message string) {
	if s.opt.Notify != nil {
		s.opt.Notify(message)
	}
}

// tell gives systemd the number of workers by state when it changes.
func (s *Supervisor) tell() {
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
