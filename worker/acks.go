package worker

import (
	"time"

	"golang.org/x/sys/unix"

	"joolctl/joolnl"
)

// ackClock decides how many ACKs to send for the module's reports, and when to send the trailing ACK.
//
// The module looks at its queue when it translates a packet, when an ACK arrives and every two seconds. It sends one
// packet per look: if ss-flush-deadline has passed since the last one, or if an ACK arrived and a full packet waits.
// So sessions that are queued after a report wait for the next translated packet or for the module's timer, unless an ACK arrives
// after the deadline: the trailing ACK. If several ACKs arrive together, each of them releases another full packet.
type ackClock struct {
	// full is how many sessions a full packet has; 0: more than one ACK at a time has no effect.
	full int
	// flushAfter is the time after a report at which an ACK certainly flushes the module's queue; 0: every ACK flushes the queue, so
	// that no trailing ACK is needed.
	flushAfter time.Duration
}

// ackClockFor returns the ackClock for the version of a module, an instance's settings and the kernel's jiffy.
func ackClockFor(v joolnl.Version, g joolnl.Globals, jiffy time.Duration) ackClock {
	if v.FlushesASAP() && g.SSFlushASAP {
		return ackClock{}
	}
	// The module rounds its deadline up to whole jiffies, and flushes only when more than that has passed.
	deadline := (g.SSFlushDeadline + jiffy - 1).Truncate(jiffy)
	return ackClock{full: int(g.SSMaxSessions), flushAfter: deadline + jiffy}
}

// acks returns how many ACKs to send for n reports, the last of which had the given number of sessions: one for each report, or twice
// as many if the last report was a full packet that had waited in the module's queue. Otherwise further ACKs would release no packet
// and still cost a request. waited is how long the worker has waited for the reports.
func (a ackClock) acks(n, sessions int, waited time.Duration) int {
	queued := n > 1 || waited < hardlyWaited
	if !queued || a.full == 0 || sessions < a.full {
		return n
	}
	return min(2*n, joolnl.MaxAcks)
}

// hardlyWaited is less time than a thread needs to sleep and wake up: the reports were there already.
const hardlyWaited = 50 * time.Microsecond

// kernelJiffy returns the resolution of the module's timers, 1 to 10 ms. It is the step of the kernel's coarse clock.
func kernelJiffy() time.Duration {
	var resolution unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &resolution); err != nil || resolution.Nano() <= 0 {
		return 10 * time.Millisecond // the longest that Linux can be built with
	}
	return time.Duration(resolution.Nano())
}
