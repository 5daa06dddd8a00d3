package supervisor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"joolctl/joolnl"
	"joolctl/replication"
)

const (
	// kernelPatience is how long status waits for the kernel's counters.
	kernelPatience = 500 * time.Millisecond
	// advertisePatience is how long the module may take to return the size of its table.
	advertisePatience = 10 * time.Second
)

// live is a running worker that many callers query at the same time. A kernel that does not answer blocks one goroutine
// for each kind of query, and each caller for at most its own time limit.
type live struct {
	Worker
	stats       enquiry[map[string]uint64]
	counters    enquiry[*joolnl.ModuleCounters]
	advertising atomic.Bool
	// reconfiguring is used only on the supervisor's goroutine.
	reconfiguring bool
}

// enquiry lets simultaneous callers share one query to the module.
type enquiry[T any] struct {
	mu       sync.Mutex
	question *question[T]
}

// question is a query under way. done is closed when answer is set; answer is the zero value if the module did not
// answer in time.
type question[T any] struct {
	done   chan struct{}
	answer T
}

// get returns the module's answer to a query, or the zero value if there is none in time.
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
		if answer, err := safely(ctx, ask); err == nil {
			q.answer = answer
		}
		s.mu.Lock()
		s.question = nil
		s.mu.Unlock()
		close(q.done)
	}()
	return q
}

// kernel returns the module's session counters, or an empty map if the module does not answer in time.
func (l *live) kernel(ctx context.Context) map[string]uint64 {
	if stats := l.stats.get(ctx, l.KernelStats); stats != nil {
		return stats
	}
	return map[string]uint64{}
}

// advertise starts the worker's advertise.
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
		r.Advertise, r.err = safely(ctx, l.Advertise)
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

// safely calls a method of the worker on another goroutine than its Run, where a panic would end the program. It turns a panic into
// an error. If the worker itself is broken, its Run ends and logs the stack.
func safely[T any](ctx context.Context, call func(context.Context) (T, error)) (answer T, err error) {
	defer refused(&err)
	return call(ctx)
}

// refused, deferred, turns a panic into an error of one line.
func refused(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("panic: %v", r)
	}
}
