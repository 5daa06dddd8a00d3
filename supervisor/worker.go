package supervisor

import (
	"context"

	"joolctl/configdir"
	"joolctl/joolnl"
	"joolctl/replication"
	"joolctl/worker"
)

// Worker is the part of *worker.Worker that the supervisor uses.
type Worker interface {
	// Run synchronises until ctx ends; it calls ready once it has started. After a *worker.Missing the supervisor waits
	// for the missing item; after any other error it backs off.
	Run(ctx context.Context, ready func()) error
	// Reconfigure changes the running worker to another spec for the same instance and namespace. After an error, the
	// worker runs with its old spec.
	Reconfigure(configdir.Spec) error
	// Rename tells the worker the new name of its pair.
	Rename(name string)
	// Check makes the worker check at once that everything it depends on still exists.
	Check()
	Peers() []replication.PeerInfo
	// Sync returns the state of the synchronisation, with the completeness of the table.
	Sync() worker.SyncState
	KernelStats(ctx context.Context) (map[string]uint64, error)
	// ModuleCounters returns all counters of the module.
	ModuleCounters(ctx context.Context) (*joolnl.ModuleCounters, error)
	ModuleVersion() string
	// Turns returns how many iterations the worker's loop has completed. While the worker runs, the number rises at
	// least every five seconds.
	Turns() uint64
	// InKernel reports whether the worker's loop is inside a system call that no signal can interrupt.
	InKernel() bool
	// Follow returns a copy of all sessions that pass through the worker.
	Follow() (*worker.Follower, error)
	// Advertise starts sending the whole table; Sync reports the progress.
	Advertise(ctx context.Context) (replication.Advertise, error)
}

// StatsServer is the part of *worker.StatsServer that the supervisor uses.
type StatsServer interface{ Close() }

// NewWorker makes a worker for a pair. Each worker is run once.
type NewWorker func(configdir.Spec, *worker.Counters) Worker

// OpenStats opens a pair's stats server, as worker.OpenStats does.
type OpenStats func(spec configdir.Spec, stats func() worker.Stats) (StatsServer, error)
