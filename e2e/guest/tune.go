package guest

import "time"

// TuneRows lists the rows that TestTune measures.
var TuneRows = []string{"deadline", "capacity", "memory", "update"}

// Values that TestTune compares. The first deadline is the one that "tune ss" sets.
var (
	TuneDeadlines  = []uint64{4, 10, 20, 50, 2000} // ms
	TuneCapacities = []uint64{512, 2048, 4096, 16384, 65536}
	TuneEntries    = []int{1000, 100_000, 1_000_000}
)

// TuneCapacity is the capacity with each of TuneDeadlines; TuneDeadline the deadline with each of TuneCapacities.
const (
	TuneCapacity = 16384
	TuneDeadline = 4
)

// TuneFlood is the number of sessions that are opened at full rate.
const TuneFlood = 40_000

// TunePace is the traffic with one session at a time.
const TunePace = "10/s"

// Tune has all measurements. TestTune writes it to /out/tune.json. A variant is a deadline or a capacity.
type Tune struct {
	Deadlines  Live
	Capacities Live
	Queues     []TuneQueue
	Updates    []TuneUpdate
}

// TuneQueue is the kernel's memory while the module's queue is full.
type TuneQueue struct {
	Capacity uint64
	Memory   int64 // SUnreclaim in bytes
}

// TuneUpdate has the times of updates of an instance's settings.
type TuneUpdate struct {
	Entries uint64 // BIB entries of the instance
	Took    []time.Duration
	// Before is the longest round trip of a UDP packet through J without updates, During that with updates.
	Before, During time.Duration
}
