package guest

import "time"

// SoakReport is the content of /out/soak.json, which TestSoak writes.
type SoakReport struct {
	Seed                uint64
	Jool                string
	Minutes             int
	Took                time.Duration
	Faults              int
	Kinds               int // of faults
	Restarts, Processes int // workers started again, each by a fault that concerned it; supervisors started
	Comparisons         int // of whole tables
	Opened, Compared    int // sessions
	Hosts               []SoakUse
}

// SoakUse has the resources of a supervisor's process: the medians over the first third of the settled time, and over
// the last.
type SoakUse struct{ First, Last Use }

// Use has the resources that a process uses at one moment.
type Use struct{ Goroutines, Descriptors, Threads, ResidentKiB int }
