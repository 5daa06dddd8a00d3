package supervisor

import (
	"context"
	"fmt"
	"path/filepath"

	"joolctl/configdir"
	"joolctl/replication"
)

// DryRun returns the changes that Reload would make if the supervisor's directory had the content of dir. DryRun changes
// nothing. The states in the result are the present ones. dir is an absolute path; "" is the supervisor's directory.
func (s *Supervisor) DryRun(ctx context.Context, dir string) (Reload, error) {
	if dir == "" {
		dir = s.opt.Dir
	} else if !filepath.IsAbs(dir) {
		return Reload{}, fmt.Errorf("%q is not an absolute path", dir)
	}
	type outcome struct {
		result configdir.Result
		err    error
	}
	read := make(chan outcome, 1)
	go func() { // a file system may block
		result, err := configdir.Read(dir)
		read <- outcome{result, err}
	}()
	var o outcome
	select {
	case o = <-read:
	case <-s.stopped:
		return Reload{}, ErrStopping
	case <-ctx.Done():
		return Reload{}, fmt.Errorf("the directory %s takes long to read: %w", dir, ctx.Err())
	}
	if o.err != nil {
		return Reload{}, fmt.Errorf("the supervisor cannot read the directory (systemd hides /tmp and /home from it): %w", o.err)
	}
	reload := Reload{Changes: []Change{}, Refused: []Refusal{}}
	return reload, s.do(ctx, func() error {
		for _, a := range plan(o.result.Pairs, s.current()) {
			if change, ok := a.change(); ok {
				if p := s.pairs[a.from]; p != nil && a.verb != stop {
					change.State = p.state
				}
				reload.Changes = append(reload.Changes, change)
			}
			if a.refused != nil {
				reload.Refused = append(reload.Refused, s.wouldRefuse(a))
			}
		}
		return nil
	})
}

// wouldRefuse returns the Refusal of an action. A pair that does not exist yet gets the state failed.
func (s *Supervisor) wouldRefuse(a action) Refusal {
	p := s.pairs[a.name]
	if p == nil {
		p = &pair{name: a.name, state: Failed}
	}
	return p.refusal(replication.FilesRefused, a.refused...)
}
