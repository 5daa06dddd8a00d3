package replication

import (
	"time"

	"joolctl/session"
	"joolctl/syncwire"
)

const (
	// SolicitEvery is the interval between the SOLICITs of one full sync: SOLICIT or BEGIN may be lost.
	SolicitEvery = 250 * time.Millisecond
	// StallFor is how long a full sync that arrives may pause before its receiver asks for more.
	StallFor = 500 * time.Millisecond
	// CostFactor is how many times as long as a full sync took no other one follows it for the same kind of reason, so that
	// full syncs don't cause each other.
	CostFactor = 4
)

// Snapshot is a session table at one moment: the times left are those at Base.
type Snapshot struct {
	Records []session.Record
	Base    time.Time
}

// Thread is the thread that the decisions run on.
type Thread interface {
	// Now returns the time.
	Now() time.Time
	// Post calls fn on the thread, unless the host ends before.
	Post(fn func())
	// Background calls fn beside the thread. fn must not use anything that belongs to the thread.
	Background(fn func())
}

// Table is the session table of the host's module.
type Table interface {
	// Sessions returns how many sessions the module had when its counters were last read.
	Sessions() int
	// ReadTable reads the whole table, and calls done with it on the thread. base is the Snapshot's Base, sizeHint the expected
	// number of sessions. Once stop returns true, nobody needs the table any more, and done is not called.
	ReadTable(sizeHint int, base time.Time, stop func() bool, done func(Snapshot, error))
}

// Module is the module whose table is synchronised.
type Module interface {
	// ReadTable is that of Table.
	ReadTable(sizeHint int, base time.Time, stop func() bool, done func(Snapshot, error))
	// ReadCounters reads the module's counters, and passes them to Host.Polled.
	ReadCounters(now time.Time)
	// ReadErrors reads the errors of the module that wait. It calls Host.Doubt if the module had no memory for a session.
	ReadErrors()
	// RemoveBIB removes BIB entries.
	RemoveBIB(masks []Mask)
	// Inject gives the module the next sessions of i, for no longer than the thread may be busy. It returns false if none are left.
	Inject(i *Injection) (more bool)
	// FlushStored gives the module the live sessions that are queued.
	FlushStored()
}

// Network sends to the peers.
type Network interface {
	// Send sends a message to the peers of an audience; none: to all. A message that names one peer is sent to that
	// peer, whatever the audience is. With multicast, each message reaches all peers. Send does not keep its arguments.
	Send(body syncwire.Body, audience []syncwire.ID)
	// Reply sends a message that a peer's message causes, unless there were too many of them lately.
	Reply(body syncwire.Body, now time.Time)
	// OpenBatch has messages wait until Flush, which sends them together. Nothing else may be sent in between.
	OpenBatch()
	Flush()
	// SendRefreshes sends the refreshes that wait (see Coalescer). A table that is read afterwards has newer states of their
	// sessions, which the refreshes would overwrite.
	SendRefreshes()
}

// Latest returns the later of two times.
func Latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// Earliest returns the earlier of two times.
func Earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
