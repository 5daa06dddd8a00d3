package supervisor

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"joolctl/replication"
)

// UnknownName is the error for a name that no pair has.
type UnknownName struct {
	Name  string
	Known []string
}

func (u *UnknownName) Error() string {
	if len(u.Known) == 0 {
		return fmt.Sprintf("there is no pair %q: the directory has none", u.Name)
	}
	return fmt.Sprintf("there is no pair %q; known are: %s", u.Name, strings.Join(u.Known, ", "))
}

// Outcome is what a command came to for one pair.
type Outcome struct {
	Name string `json:"name"`
	// Error is one line, empty if all went well.
	Error  string `json:"error,omitempty"`
	State  State  `json:"state"`
	Reason string `json:"reason,omitempty"`
	// Advertise is what an advertise has begun to send.
	Advertise *replication.Advertise `json:"advertise,omitempty"`
}

// Advertise has the named workers, or all of them, begin to send their tables;
// Status tells how far that is.
func (s *Supervisor) Advertise(ctx context.Context, names []string, all bool) ([]Outcome, error) {
	outcomes := []Outcome{}
	var lives []*live
	err := s.do(ctx, func() error {
		selected, err := s.selection(names, all)
		for _, p := range selected {
			outcomes = append(outcomes, p.outcome())
			lives = append(lives, p.live)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var advertising sync.WaitGroup
	for i := range outcomes {
		o := &outcomes[i]
		if lives[i] == nil {
			o.Error = fmt.Sprintf("it is %s, not running: %s", o.State, o.Reason)
			continue
		}
		advertising.Go(func() {
			state, err := lives[i].advertise(ctx)
			if err != nil {
				o.Error = err.Error()
				return
			}
			o.Advertise = &state
		})
	}
	advertising.Wait()
	return outcomes, nil
}

// Restart replaces the workers of the named pairs, or of all, and returns when
// each has reached a state, or ctx has ended. Failed pairs are left alone. A
// pair whose new configuration can't start beside the old one starts with the
// new one.
func (s *Supervisor) Restart(ctx context.Context, names []string, all bool) ([]Outcome, error) {
	var rows []*pair
	err := s.do(ctx, func() (err error) {
		if rows, err = s.selection(names, all); err != nil {
			return err
		}
		for _, p := range rows {
			if p.has() {
				s.log.Info("restart was asked for", "pair", p.name)
				s.renew(p)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.settle(ctx, rows)
	outcomes := []Outcome{}
	return outcomes, s.do(ctx, func() error {
		for _, p := range rows {
			o := p.outcome()
			if p.state != Running {
				o.Error = fmt.Sprintf("it is %s, not running: %s", o.State, o.Reason)
			}
			outcomes = append(outcomes, o)
		}
		return nil
	})
}

// renew replaces a pair's worker by a new one.
func (s *Supervisor) renew(p *pair) {
	spec := p.spec
	if p.target != nil {
		spec = *p.target
	}
	s.stop(p)
	p.counters.Distrust() // or nothing might be read anew
	s.begin(p, spec)
}

func (p *pair) outcome() Outcome {
	return Outcome{Name: p.name, State: p.state, Reason: p.explanation()}
}

// patience is how long a command waits for workers to reach a state.
const patience = 5 * time.Second

// waiter waits for pairs to settle.
type waiter struct {
	ctx   context.Context
	pairs []*pair
	done  chan struct{}
}

// settle returns when the pairs' workers have all reached a state, or patience
// or ctx has ended.
func (s *Supervisor) settle(ctx context.Context, pairs []*pair) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	w := &waiter{ctx, pairs, make(chan struct{})}
	if s.do(ctx, func() error { s.waiters = append(s.waiters, w); return nil }) != nil {
		return
	}
	select {
	case <-w.done:
	case <-s.stopped:
	case <-ctx.Done():
	}
}

// wake lets go of the waiters that have nothing left to wait for.
func (s *Supervisor) wake() {
	var rest []*waiter
	for _, w := range s.waiters {
		switch {
		case w.settled():
			close(w.done)
		case w.ctx.Err() == nil:
			rest = append(rest, w)
		}
	}
	s.waiters = rest
}

func (w *waiter) settled() bool {
	for _, p := range w.pairs {
		if p.has() && p.unsettled {
			return false
		}
	}
	return true
}
