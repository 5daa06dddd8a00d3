package worker

import (
	"time"

	"golang.org/x/sys/unix"

	"joolctl/joolnl"
)

// ackClock says how often to acknowledge the module's reports, and when.
//
// The module looks at its queue when it translates a packet, when an ACK arrives and every two seconds. It sends one
// packet per look: if ss-flush-deadline has passed since the last one, or if an ACK arrived and a full packet waits.
// So what is queued after a report waits for another packet or for the module's timer, unless an ACK arrives once the
// deadline has passed: the trailing ACK. And each of several ACKs together releases another full packet.
type ackClock struct {
	// full is how many sessions a full packet has; 0: more than one ACK at a time gains nothing.
	full int
	// flushAfter is how long after a report an ACK is sure to flush the module's queue; 0: a trailing ACK gains
	// nothing, because each ACK flushes.
	flushAfter time.Duration
}

// ackClockFor is the ackClock for an instance's settings and the kernel's jiffy.
func ackClockFor(v joolnl.Version, g joolnl.Globals, jiffy time.Duration) ackClock {
	if v.FlushesASAP() && g.SSFlushASAP {
		return ackClock{}
	}
	// The module rounds its deadline up to whole jiffies and wants more than that to have passed.
	deadline := (g.SSFlushDeadline + jiffy - 1).Truncate(jiffy)
	return ackClock{full: int(g.SSMaxSessions), flushAfter: deadline + jiffy}
}

// acks is how many ACKs to send for n reports, of which the last had so many sessions: one for each. The number doubles
// as long as full packets come that waited in the module's queue: an ACK that releases nothing costs as much as another
// one. waited is how long the worker has waited for the reports.
func (a ackClock) acks(n, sessions int, waited time.Duration) int {
	queued := n > 1 || waited < hardlyWaited
	if !queued || a.full == 0 || sessions < a.full {
		return n
	}
	return min(2*n, joolnl.MaxAcks)
}

// hardlyWaited is less than a thread needs to sleep and wake up.
const hardlyWaited = 50 * time.Microsecond

// kernelJiffy is the kernel's unit of time for timers of the module, 1 to 10 ms. The coarse clock advances by it.
func kernelJiffy() time.Duration {
	var resolution unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &resolution); err != nil || resolution.Nano() <= 0 {
		return 10 * time.Millisecond // the longest that Linux can be built with
	}
	return time.Duration(resolution.Nano())
}
