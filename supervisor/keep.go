package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"joolctl/worker"
)

// Keep keeps one worker running: a new one for each that ended by itself, at
// once for none of them.
type Keep struct {
	// New makes the worker of each attempt.
	New func() Worker
	// Report is told of every change, from Run's goroutine.
	Report func(Condition)
	// Wake has a worker that waits for something missing look again at once. One
	// signal should fit into it, so that none is lost; nil: there are none.
	Wake <-chan struct{}
	// Log takes the stacks of panics; nil discards them.
	Log *slog.Logger
	// Jitter draws from [0, 1) for the backoff; nil is the real thing.
	Jitter func() float64
}

// Run blocks until ctx has ended and the worker with it: as long as the worker
// takes, so a caller in a hurry does not wait for it.
func (k *Keep) Run(ctx context.Context) {
	failures, again := 0, false
	now, told := Condition{}, Condition{}
	for {
		if again {
			now.Restarts++
		}
		ran, err := k.attempt(ctx, now.Restarts)
		if ctx.Err() != nil {
			return
		}
		if ran >= healthy {
			failures = 0
		}
		var missing *worker.Missing
		// All at the same moments, because waking up costs more than looking.
		pause := waitingPeriod - time.Duration(time.Now().UnixNano())%waitingPeriod
		wake := k.Wake
		if errors.As(err, &missing) {
			again = ran >= 0
			if ran > waitingPeriod {
				pause = 0 // what has gone may be back already, another one
			}
			now.State, now.Reason = Waiting, missing.Error()
		} else {
			again, wake = true, nil
			pause = backoff(failures, k.jitter())
			failures++
			next := time.Now().Add(pause).UTC().Format(time.RFC3339)
			now.State, now.Reason = Backoff, fmt.Sprintf("failed: %s; next try at %s", k.line(err), next)
		}
		if ran >= 0 || now != told {
			k.Report(now)
			told = now
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		case <-wake:
		}
	}
}

// attempt runs one worker to its end. ran is how long it was ready, negative
// if it never was.
func (k *Keep) attempt(ctx context.Context, restarts int) (ran time.Duration, err error) {
	ready, ended := make(chan struct{}), make(chan error, 1)
	w, err := k.make()
	if err != nil {
		return -1, err
	}
	go func() {
		ended <- k.guarded(ctx, w, sync.OnceFunc(func() { close(ready) }))
	}()
	select {
	case <-ready:
	case err := <-ended:
		return -1, err
	}
	start := time.Now()
	k.Report(Condition{State: Running, Restarts: restarts, Worker: w})
	err = <-ended
	return time.Since(start), err
}

// make makes a worker, whose panic is its own.
func (k *Keep) make() (w Worker, err error) {
	defer recovered(&err)
	return k.New(), nil
}

// recovered, deferred, turns a panic of a worker's into an error: the stack is in
// the lines behind the first.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
	}
}

// guarded runs a worker whose panic is its own.
func (k *Keep) guarded(ctx context.Context, w Worker, ready func()) (err error) {
	defer recovered(&err)
	if err := w.Run(ctx, ready); err != nil {
		return err
	}
	return errors.New("the worker ended by itself")
}

// line is an error's first line. What follows, a panic's stack, goes into the
// log.
func (k *Keep) line(err error) string {
	first, rest, more := strings.Cut(err.Error(), "\n")
	if more && k.Log != nil {
		k.Log.Error("worker failed", "error", first, "stack", rest)
	}
	return first
}

func (k *Keep) jitter() float64 {
	if k.Jitter != nil {
		return k.Jitter()
	}
	return rand.Float64()
}
