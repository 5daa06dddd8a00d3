package guest

import "time"

// ChaosRow is one fault of the table that TestChaos leaves in /out/chaos.json.
type ChaosRow struct {
	Fault    string
	Ours     ChaosResult
	Upstream *ChaosResult // nil: C joold does not have the feature
}

// ChaosResult is the effect of a fault on one pair of instances.
type ChaosResult struct {
	// Crosses is whether new sessions cross again. After is the time that this took from the moment at which the
	// missing part was back.
	Crosses bool
	After   time.Duration
	// Opened is the number of sessions that were opened during the fault, without those of a burst.
	Opened int
	// Missing is the number of sessions of the active NAT64's table, opened before and during the fault, that the
	// standby lacks at the end.
	Missing int
	// OldAfter is the time from that moment until two readings of the tables, one after the other, showed that no
	// session was missing.
	OldAfter time.Duration
}
