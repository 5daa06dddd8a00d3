package supervisor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"joolctl/configdir"
	"joolctl/joolnl"
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
	stats       enquiry[map[string]uint64]
	counters    enquiry[*joolnl.ModuleCounters]
	advertising atomic.Bool
	// reconfiguring belongs to the supervisor's goroutine.
	reconfiguring bool
}

// enquiry lets callers at the same time share one question to the module.
type enquiry[T any] struct {
	mu       sync.Mutex
	question *question[T]
}

// question is one that is under way: done is closed when answer has the answer, or its zero value if there is none in time.
type question[T any] struct {
	done   chan struct{}
	answer T
}

// get returns the answer of a question to the module, or the zero value if there is none in time.
func (s *enquiry[T]) get(ctx context.Context, ask func(context.Context) (T, error)) (answer T) {
	ctx, cancel := context.WithTimeout(ctx, kernelPatience)
	defer cancel()
	q := s.ask(ask)
	select {
	case <-q.done:
		return q.answer
	case <-ctx.Done():
		return answer
	}
}

func (s *enquiry[T]) ask(ask func(context.Context) (T, error)) *question[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.question != nil {
		return s.question
	}
	q := &question[T]{done: make(chan struct{})}
	s.question = q
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), kernelPatience)
		defer cancel()
		if answer, err := ask(ctx); err == nil {
			q.answer = answer
		}
		s.mu.Lock()
		s.question = nil
		s.mu.Unlock()
		close(q.done)
	}()
	return q
}

// kernel returns the module's counters of sessions, or an empty map if they can't be had in time.
func (l *live) kernel(ctx context.Context) map[string]uint64 {
	if stats := l.stats.get(ctx, l.kernelStats); stats != nil {
		return stats
	}
	return map[string]uint64{}
}

// moduleCounters returns all counters of the module, or nil if they can't be had in time.
func (l *live) moduleCounters(ctx context.Context) *joolnl.ModuleCounters {
	return l.counters.get(ctx, l.allCounters)
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

func (l *live) allCounters(ctx context.Context) (counters *joolnl.ModuleCounters, err error) {
	defer refused(&err)
	return l.Worker.ModuleCounters(ctx)
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
