package sim

import "time"

// Replica is a worker's process as the simulation drives it. The simulation calls one method at a time, and Wake after
// all others and after each callback of the Env.
type Replica interface {
	// Start is called first. kept is the result of a predecessor's Stop, or nil if the predecessor was killed or there was
	// none. The reports that wait in a socket follow at once.
	Start(now time.Time, kept []byte)
	// Stop ends the Replica in good order. After that, as after a kill, nothing of it is called.
	Stop(now time.Time) (kept []byte)
	// Report receives a packet of sessions from the module, which waits for Env.Ack. All that wait are reported before
	// the next Wake.
	Report(now time.Time, entries []byte)
	// Overrun says that packets from the module were lost in the netlink socket.
	Overrun(now time.Time)
	// Datagram receives a datagram of the group. The Replica may keep its data.
	Datagram(now time.Time, d Datagram)
	// Regrouped says that the host has moved to another multicast group.
	Regrouped(now time.Time)
	// Advertise says that the operator wants the whole table sent to all peers.
	Advertise(now time.Time)
	// Wake does what is due, and returns when to call it next; zero: not before the next event.
	Wake(now time.Time) (next time.Time)
	// Verdict says whether the table is complete.
	Verdict(now time.Time) Verdict
	// Phase names the step of a full sync that the Replica is in, for the table of coverage.
	Phase() string
}

// Answer is whether a host's table is complete.
type Answer uint8

const (
	No Answer = iota
	Yes
	Alone // no live peer
)

func (a Answer) String() string { return [...]string{"no", "yes", "alone"}[a] }

// Verdict is an Answer and its reasons.
type Verdict struct {
	Answer  Answer
	Reasons []string
}

// Factory makes the Replica of one run of a worker.
type Factory func(*Env) Replica
