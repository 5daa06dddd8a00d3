package supervisor

import (
	"context"

	"joolctl/configdir"
	"joolctl/joolnl"
	"joolctl/replication"
	"joolctl/worker"
)

// Worker is what the supervisor needs of a *worker.Worker.
type Worker interface {
	// Run works until ctx ends; ready is called once it does. A *worker.Missing
	// is waited for, any other error leads to a backoff.
	Run(ctx context.Context, ready func()) error
	// Reconfigure has it go on with another spec for the same instance and
	// namespace, or, on an error, as before.
	Reconfigure(configdir.Spec) error
	// Rename tells it that its pair has another name.
	Rename(name string)
	// Check has it look at once whether everything that it depends on is still
	// there.
	Check()
	Peers() []replication.PeerInfo
	// Sync is how complete its table is.
	Sync() worker.SyncState
	KernelStats(ctx context.Context) (map[string]uint64, error)
	// ModuleCounters has all counters of the module.
	ModuleCounters(ctx context.Context) (*joolnl.ModuleCounters, error)
	ModuleVersion() string
	// Turns counts how often its loop has done all that was due. While the worker runs, the number rises at least every five seconds.
	Turns() uint64
	// InKernel reports whether its loop is busy inside the kernel, where nothing ends what it does.
	InKernel() bool
	// Follow returns a copy of all sessions that pass through it.
	Follow() (*worker.Follower, error)
	// Advertise begins to send its whole table; Sync tells how far that is.
	Advertise(ctx context.Context) (replication.Advertise, error)
}

// StatsServer is what the supervisor needs of a *worker.StatsServer.
type StatsServer interface{ Close() }

// NewWorker makes a worker for a pair, to be run once.
type NewWorker func(configdir.Spec, *worker.Counters) Worker

// OpenStats opens a pair's stats server, as worker.OpenStats does.
type OpenStats func(spec configdir.Spec, stats func() worker.Stats) (StatsServer, error)
