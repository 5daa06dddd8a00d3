package supervisor

import (
	"context"
	"sync"
	"time"

	"joolctl/joolnl"
)

// Snapshot is the state of all pairs at one moment, for metrics. Its rows have no Kernel.
type Snapshot struct {
	Status
	// At is the moment of the snapshot. Started is when the supervisor started.
	At, Started time.Time
	// Module has the module's counters for each row; an element is nil if the module did not answer in time. Module is
	// empty if the counters were not requested.
	Module []*joolnl.ModuleCounters
}

// Snapshot describes all pairs. It requests the module's counters only if module is true. It waits for a stuck kernel no
// longer than kernelPatience.
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
			asking.Go(func() { snapshot.Module[i] = l.counters.get(ctx, l.ModuleCounters) })
		}
	}
	asking.Wait()
	return snapshot, nil
}
