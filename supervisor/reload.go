package supervisor

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"

	"joolctl/replication"
)

// Reload is the answer of `joolctl reload -o json`: the changes made after reading the directory again.
type Reload struct {
	// Changes are the pairs that have changed.
	Changes []Change `json:"changes"`
	// Refused are the pairs whose files can't be used.
	Refused []Refusal `json:"refused"`
}

// Change describes one pair that has changed.
type Change struct {
	// Name is the name of the pair.
	Name string `json:"name"`
	// Action is "started", "changed", "renamed" or "stopped".
	Action string `json:"what"`
	// From is the former name of a renamed pair. It is missing otherwise.
	From string `json:"from,omitempty"`
	// State is the state of the pair when all was applied. It is missing if the pair was stopped.
	State State `json:"state,omitempty"`
	// Reason says in one line why the pair is in this state. It is missing if all is well. Its wording may change.
	Reason string `json:"reason,omitempty"`
}

// Refusal is one pair whose files can't be used.
type Refusal struct {
	// Name is the name of the pair.
	Name string `json:"name"`
	// State is the state of the pair, which the refusal does not change.
	State State `json:"state"`
	// Reasons are why its files can't be used.
	Reasons []replication.Reason `json:"reasons"`
}

// refusal returns the Refusal of a pair.
func (p *pair) refusal(code replication.Code, texts ...string) Refusal {
	r := Refusal{Name: p.name, State: p.state, Reasons: []replication.Reason{}}
	for _, text := range texts {
		r.Reasons = append(r.Reasons, replication.Reason{Code: code, Text: text})
	}
	return r
}

// Reload reads the directory and applies it. It returns when every worker concerned has reached a state, or ctx has
// ended.
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
		s.addOutcomes(&reload)
		return nil
	})
}

// addOutcomes adds the state of its pair to each change. A change that had no effect becomes a refusal.
func (s *Supervisor) addOutcomes(reload *Reload) {
	changes := reload.Changes
	reload.Changes = []Change{}
	for _, c := range changes {
		p := s.pairs[c.Name]
		if p == nil || c.Action == "stopped" {
			reload.Changes = append(reload.Changes, c)
			continue
		}
		if p.trouble != "" {
			reload.Refused = append(reload.Refused, p.refusal(replication.CannotStart, p.trouble))
			continue
		}
		if p.has() && p.unsettled {
			late := fmt.Sprintf("the change has not taken effect within %v; see joolctl status %s", patience, c.Name)
			reload.Refused = append(reload.Refused, p.refusal(replication.NoOutcome, late))
			continue
		}
		c.State, c.Reason = p.state, p.explanation()
		reload.Changes = append(reload.Changes, c)
	}
}

// reloading returns the message RELOADING of sd_notify, which must contain the monotonic time.
func reloading() string {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return "RELOADING=1"
	}
	return fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", now.Nano()/1000)
}
