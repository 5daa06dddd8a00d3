package guest

import "time"

// SoakReport is what TestSoak leaves in /out/soak.json.
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

// SoakUse is what a supervisor's program used: the medians over the first third of the settled time, and the last.
type SoakUse struct{ First, Last Use }

// Use is what a program uses at a moment.
type Use struct{ Goroutines, Descriptors, Threads, ResidentKiB int }
