package guest

import "time"

// IdlePeriod is how long idleness is measured.
const IdlePeriod = time.Minute

// Many is the cost of a number of pairs. TestMany writes a list of them to /out/many.json.
type Many struct {
	// Case names the running program, in the reader's words.
	Case  string
	Pairs int
	// Started is from the program's start until every pair runs.
	Started time.Duration
	// Idle is the processor time of all processes in IdlePeriod without traffic.
	Idle time.Duration
	// Resident is the memory of all processes, in bytes: Peak at its highest,
	// and Shared how much of it is the programs' own text, and libraries.
	Resident, Peak, Shared int64
}
