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

// Outcome is the result of a command for one pair.
type Outcome struct {
	Name string `json:"name"`
	// Error is one line. It is empty if the command succeeded.
	Error  string `json:"error,omitempty"`
	State  State  `json:"state"`
	Reason string `json:"reason,omitempty"`
	// Advertise describes the advertise that the command began.
	Advertise *replication.Advertise `json:"advertise,omitempty"`
}

// Advertise starts sending the whole tables of the named pairs, or of all pairs. Status reports the progress.
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

// Restart replaces the workers of the named pairs, or of all pairs. It returns when each pair has reached a state, or
// ctx has ended. Failed pairs are skipped. A pair whose new configuration is waiting, because it can't start beside the
// old worker, starts with the new configuration.
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

// renew replaces the worker of a pair.
func (s *Supervisor) renew(p *pair) {
	spec := p.spec
	if p.target != nil {
		spec = *p.target
	}
	s.stop(p)
	p.counters.Distrust() // makes the new worker read the table instead of trusting the checkpoint
	s.begin(p, spec)
}

func (p *pair) outcome() Outcome {
	return Outcome{Name: p.name, State: p.state, Reason: p.explanation()}
}

// patience is how long a command waits for workers to reach a state.
const patience = 5 * time.Second

// waiter is a caller that waits until pairs have settled.
type waiter struct {
	ctx   context.Context
	pairs []*pair
	done  chan struct{}
}

// settle returns when the workers of all pairs have reached a state, or when patience or ctx has ended.
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

// wake ends the waits whose pairs have all settled.
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
