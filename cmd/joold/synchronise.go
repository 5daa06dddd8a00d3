package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"joolctl/cmd/internal/logging"
	"joolctl/cmd/internal/servicemanager"
	"joolctl/configdir"
	"joolctl/events"
	"joolctl/nsthread"
	"joolctl/supervisor"
	"joolctl/timerslack"
	"joolctl/worker"
)

const (
	// grace is how long the worker may take to stop.
	grace = 1500 * time.Millisecond
	// statsPeriod is the time between two attempts to open a stats server.
	statsPeriod = time.Second
)

// synchronise runs one worker until ctx ends.
func synchronise(ctx context.Context, spec configdir.Spec, stderr io.Writer, o *logging.Options) {
	timerslack.RaiseProcessors()
	out := logging.Open("joold", stderr, o)
	defer out.Close()
	log := out.Logger
	giveUpNamespaces(spec, log)
	defer switchLevel(out)()
	threads := nsthread.NewPool()
	threads.OnStray(func(err error) {
		log.Error("a panic that ended no worker; please report this", "error", err)
	})
	env := worker.Env{Threads: threads, Log: log}
	counters := new(worker.Counters)
	var conditions conditionLog
	var now atomic.Pointer[worker.Worker]
	watchdog := newWatchdog(servicemanager.Watchdog(), log)
	wake := make(chan struct{}, 1)
	keep := supervisor.Keep{
		New: func() supervisor.Worker {
			w := worker.New(spec, env, counters)
			now.Store(w)
			return w
		},
		Report: func(c supervisor.Condition) {
			watchdog.watch(c.Worker)
			conditions.log(log, c)
		},
		Wake: wake,
		Log:  log,
	}
	look := func(string, bool) {
		if w := now.Load(); w != nil {
			w.Check()
		}
		select {
		case wake <- struct{}{}:
		default: // it is about to
		}
	}
	watcher := events.New(env.Threads, log)
	watcher.Follow([]string{spec.Namespace, spec.NetNamespace})
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		watcher.Run(ctx, look)
	}()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		keep.Run(ctx)
	}()
	servicemanager.Tell(log, "READY=1")
	var notifying sync.WaitGroup
	notifying.Go(func() { watchdog.run(ctx) })
	serveStats(ctx, spec, counters, log)
	servicemanager.Tell(log, "STOPPING=1")
	notifying.Wait()
	<-watching // the watching has its own time limit
	select {
	case <-ended:
		log.Info("stopped")
	case <-time.After(grace):
		log.Error("the worker does not stop; left behind")
	}
}

// conditionLog keeps the log short: each change of a state or its reason is logged once.
type conditionLog struct {
	state  supervisor.State
	reason string
}

func (n *conditionLog) log(log *slog.Logger, c supervisor.Condition) {
	if n.state == c.State && n.reason == c.Reason {
		return
	}
	n.state, n.reason = c.State, c.Reason
	switch c.State {
	case supervisor.Running:
		log.Info("running", "module", c.Worker.ModuleVersion())
	case supervisor.Waiting:
		log.Warn("waiting", "error", c.Reason)
	default:
		log.Error("not running", "state", c.State, "error", c.Reason)
	}
}

// serveStats runs the stats server until ctx ends, if the spec has a port. If the port is occupied, it retries and stops
// nothing else.
func serveStats(ctx context.Context, spec configdir.Spec, counters *worker.Counters, log *slog.Logger) {
	told := ""
	for spec.StatsPort != 0 && ctx.Err() == nil {
		server, err := worker.OpenStats(spec, counters.Stats, nil)
		if err == nil {
			defer server.Close()
			break
		}
		if told != err.Error() {
			told = err.Error()
			log.Error("no stats server; it is tried again", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(statsPeriod):
		}
	}
	<-ctx.Done()
}

// switchLevel makes SIGUSR1 switch the log level to debug and back, until stop is called. If the program was started
// with debug, the signal switches to info first.
func switchLevel(l *logging.Log) (stop func()) {
	usual, signals := max(l.Level.Level(), slog.LevelInfo), make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	go func() {
		for range signals {
			old, level := l.Level.Level(), slog.LevelDebug
			if old == slog.LevelDebug {
				level = usual
			}
			l.Level.Set(level)
			l.Log(context.Background(), max(slog.LevelWarn, level), "the level of the log has changed", "old", old, "new", level)
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
	}
}
