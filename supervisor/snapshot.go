package supervisor

import (
	"context"
	"sync"
	"time"

	"joolctl/joolnl"
)

// Snapshot is the state of all pairs at one moment, for metrics. Its rows lack Kernel.
type Snapshot struct {
	Status
	// At is the moment, and Started is when the supervisor started.
	At, Started time.Time
	// Module has the counters of the module for each row, nil if the module did not answer in time; without rows if they were
	// not asked for.
	Module []*joolnl.ModuleCounters
}

// Snapshot describes all pairs. It asks the module for its counters only if module is true, and does not wait for a kernel that is stuck.
func (s *Supervisor) Snapshot(ctx context.Context, module bool) (Snapshot, error) {
	status, workers, err := s.describe(ctx, nil)
	if err != nil {
		return Snapshot{}, err
	}
	snapshot := Snapshot{Status: status, At: time.Now(), Started: s.started}
	if !module {
		return snapshot, nil
	}
	snapshot.Module = make([]*joolnl.ModuleCounters, len(workers))
	var asking sync.WaitGroup
	for i, l := range workers {
		if l != nil {
			asking.Go(func() { snapshot.Module[i] = l.moduleCounters(ctx) })
		}
	}
	asking.Wait()
	return snapshot, nil
}
