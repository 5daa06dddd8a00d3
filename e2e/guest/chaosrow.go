package guest

import "time"

// ChaosRow is one fault of the table that TestChaos leaves in /out/chaos.json.
type ChaosRow struct {
	Fault    string
	Ours     ChaosResult
	Upstream *ChaosResult // nil: there is no such thing with C joold
}

// ChaosResult is the effect of a fault on one pair of instances.
type ChaosResult struct {
	// Crosses is whether new sessions cross again. After is the time that this took from the moment at which the
	// missing part was back.
	Crosses bool
	After   time.Duration
	// Opened is how many sessions were opened while the fault lasted, beside a burst.
	Opened int
	// Missing is how many of the sessions that the active NAT64 holds, opened before and during
	// the fault, the standby lacks in the end.
	Missing int
	// OldAfter is how long after that moment none was missing any more, as far as the tables
	// that were read one after the other tell.
	OldAfter time.Duration
}
