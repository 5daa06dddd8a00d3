package supervisor

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"
)

// Reload is what came of reading the directory again.
type Reload struct {
	Changes []Change  `json:"changes"`
	Refused []Refusal `json:"refused"`
}

// Change is one pair that is not what it was.
type Change struct {
	Name string `json:"name"`
	// What is started, changed, renamed or stopped.
	What string `json:"what"`
	// From is the former name of a renamed pair.
	From string `json:"from,omitempty"`
	// State and Reason are the pair's when all was applied; empty if stopped.
	State  State  `json:"state,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// Refusal is one pair whose files can't be used.
type Refusal struct {
	Name     string   `json:"name"`
	State    State    `json:"state"`
	Problems []string `json:"problems"`
}

// Reload reads the directory and returns when what it asks for is done: when
// every worker concerned has reached a state, or ctx has ended.
func (s *Supervisor) Reload(ctx context.Context) (Reload, error) {
	s.notify(reloading())
	defer func() { s.notify("READY=1") }()
	type outcome struct {
		reload  Reload
		changed []*pair
		err     error
	}
	read := make(chan outcome, 1)
	err := s.do(ctx, func() error {
		s.rescan(func(r Reload, err error) {
			o := outcome{reload: r, err: err}
			for _, change := range r.Changes {
				if p := s.pairs[change.Name]; p != nil {
					o.changed = append(o.changed, p)
				}
			}
			read <- o
		})
		return nil
	})
	if err != nil {
		return Reload{}, err
	}
	var result outcome
	select {
	case result = <-read:
	case <-s.stopped:
		return Reload{}, ErrStopping
	case <-ctx.Done():
		return Reload{}, fmt.Errorf("the directory takes long to read: %w", ctx.Err())
	}
	if result.err != nil {
		return Reload{}, result.err
	}
	s.settle(ctx, result.changed)
	reload := result.reload
	return reload, s.do(ctx, func() error {
		changes := reload.Changes
		reload.Changes = []Change{}
		for _, c := range changes {
			p := s.pairs[c.Name]
			if p == nil || c.What == "stopped" {
				reload.Changes = append(reload.Changes, c)
				continue
			}
			if p.trouble != "" {
				reload.Refused = append(reload.Refused, Refusal{Name: c.Name, State: p.state, Problems: []string{p.trouble}})
				continue
			}
			if p.has() && p.unsettled {
				late := fmt.Sprintf("nothing has come of it within %v; see joolctl status %s", patience, c.Name)
				reload.Refused = append(reload.Refused, Refusal{Name: c.Name, State: p.state, Problems: []string{late}})
				continue
			}
			c.State, c.Reason = p.state, p.explanation()
			reload.Changes = append(reload.Changes, c)
		}
		return nil
	})
}

// reloading is sd_notify's message of that kind, which wants the time.
func reloading() string {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return "RELOADING=1"
	}
	return fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", now.Nano()/1000)
}
