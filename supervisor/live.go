package supervisor

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"joolctl/worker"
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
		stats, err := l.Worker.KernelStats(ctx)
		if err == nil {
			q.stats = stats
		}
		l.mu.Lock()
		l.question = nil
		l.mu.Unlock()
		close(q.done)
	}()
	return q
}

// advertise has the worker begin to advertise.
func (l *live) advertise(ctx context.Context) (worker.Advertise, error) {
	if !l.advertising.CompareAndSwap(false, true) {
		return worker.Advertise{}, errors.New("it was asked to advertise already, and the module has not answered yet; see `dmesg`")
	}
	type result struct {
		worker.Advertise
		err error
	}
	ctx, cancel := context.WithTimeout(ctx, advertisePatience)
	answer := make(chan result, 1)
	go func() {
		defer l.advertising.Store(false)
		state, err := l.Worker.Advertise(ctx)
		answer <- result{state, err}
	}()
	defer cancel()
	select {
	case r := <-answer:
		return r.Advertise, r.err
	case <-ctx.Done():
		return worker.Advertise{}, errors.New("the module took too long to answer; see `dmesg`")
	}
}
