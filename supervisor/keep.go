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

// Keep keeps one worker running. When a worker ends by itself, Keep starts a new one after a pause.
type Keep struct {
	// New makes the worker of each attempt.
	New func() Worker
	// Report receives every change, on Run's goroutine.
	Report func(Condition)
	// Wake makes a worker that waits for something missing check again at once. The channel should have room for one
	// signal, so that none is lost. nil: there are no signals.
	Wake <-chan struct{}
	// Log receives the stacks of panics; nil discards them.
	Log *slog.Logger
	// Jitter returns a random number in [0, 1) for the backoff; nil uses math/rand.
	Jitter func() float64
}

// Run blocks until ctx has ended and the worker has stopped. The worker may need long, so a caller with a deadline does
// not wait for Run.
func (k *Keep) Run(ctx context.Context) {
	failures, again := 0, false
	now, reported := Condition{}, Condition{}
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
		// All waiting workers check at the same moments, because waking the process costs more than a check.
		pause := waitingPeriod - time.Duration(time.Now().UnixNano())%waitingPeriod
		wake := k.Wake
		if errors.As(err, &missing) {
			again = ran >= 0
			if ran > waitingPeriod {
				pause = 0 // the missing item may exist again already, as another object
			}
			now.State, now.Reason = Waiting, missing.Error()
		} else {
			again, wake = true, nil
			pause = backoff(failures, k.jitter())
			failures++
			next := time.Now().Add(pause).UTC().Format(time.RFC3339)
			now.State, now.Reason = Backoff, fmt.Sprintf("failed: %s; next try at %s", k.line(err), next)
		}
		if ran >= 0 || now != reported {
			k.Report(now)
			reported = now
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		case <-wake:
		}
	}
}

// attempt runs one worker until it ends. ran is how long it was ready; it is negative if the worker was never ready.
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

// make makes a worker. A panic becomes an error.
func (k *Keep) make() (w Worker, err error) {
	defer recovered(&err)
	return k.New(), nil
}

// recovered, deferred, turns a panic of a worker into an error. The stack follows the first line of its text.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
	}
}

// guarded runs a worker. A panic becomes an error.
func (k *Keep) guarded(ctx context.Context, w Worker, ready func()) (err error) {
	defer recovered(&err)
	if err := w.Run(ctx, ready); err != nil {
		return err
	}
	return errors.New("the worker ended by itself")
}

// line returns the first line of an error. The other lines, such as a panic's stack, go to the log.
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
