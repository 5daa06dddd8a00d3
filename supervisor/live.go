package supervisor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"joolctl/configdir"
	"joolctl/replication"
)

const (
	// kernelPatience is how long status waits for the kernel's counters.
	kernelPatience = 500 * time.Millisecond
	// advertisePatience is how long the module may take to tell its table's size.
	advertisePatience = 10 * time.Second
)

// live is a running worker, asked by many at once. A kernel that does not
// answer costs one goroutine for each kind of question, and nobody more than
// their patience.
type live struct {
	Worker
	mu          sync.Mutex
	question    *question
	advertising atomic.Bool
	// reconfiguring belongs to the supervisor's goroutine.
	reconfiguring bool
}

// question is one that is under way: done is closed when stats has the answer.
type question struct {
	done  chan struct{}
	stats map[string]uint64
}

// kernel returns the kernel's counters, or an empty map if they can't be had
// in time. Callers at the same time share one question.
func (l *live) kernel(ctx context.Context) map[string]uint64 {
	ctx, cancel := context.WithTimeout(ctx, kernelPatience)
	defer cancel()
	q := l.ask()
	select {
	case <-q.done:
		if q.stats != nil {
			return q.stats
		}
	case <-ctx.Done():
	}
	return map[string]uint64{}
}

func (l *live) ask() *question {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.question != nil {
		return l.question
	}
	q := &question{done: make(chan struct{})}
	l.question = q
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), kernelPatience)
		defer cancel()
		q.stats, _ = l.kernelStats(ctx)
		l.mu.Lock()
		l.question = nil
		l.mu.Unlock()
		close(q.done)
	}()
	return q
}

// advertise has the worker begin to advertise.
func (l *live) advertise(ctx context.Context) (replication.Advertise, error) {
	if !l.advertising.CompareAndSwap(false, true) {
		return replication.Advertise{}, errors.New("it was asked to advertise already, and the module has not answered yet; see `dmesg`")
	}
	type result struct {
		replication.Advertise
		err error
	}
	ctx, cancel := context.WithTimeout(ctx, advertisePatience)
	answer := make(chan result, 1)
	go func() {
		defer l.advertising.Store(false)
		var r result
		r.Advertise, r.err = l.beginAdvertise(ctx)
		answer <- r
	}()
	defer cancel()
	select {
	case r := <-answer:
		return r.Advertise, r.err
	case <-ctx.Done():
		return replication.Advertise{}, errors.New("the module took too long to answer; see `dmesg`")
	}
}

// What follows is called from goroutines that are nobody's: a panic of the
// worker's must not be the program's. If anything is wrong with the worker
// itself, its Run ends and tells the stack.

func (l *live) kernelStats(ctx context.Context) (stats map[string]uint64, err error) {
	defer refused(&err)
	return l.Worker.KernelStats(ctx)
}

func (l *live) beginAdvertise(ctx context.Context) (state replication.Advertise, err error) {
	defer refused(&err)
	return l.Worker.Advertise(ctx)
}

// Reconfigure is the worker's.
func (l *live) Reconfigure(spec configdir.Spec) (err error) {
	defer refused(&err)
	return l.Worker.Reconfigure(spec)
}

// refused, deferred, makes a panic an error of one line.
func refused(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("panic: %v", r)
	}
}
