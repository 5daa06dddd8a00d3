package guest

import "time"

// The daemons of a Measurement.
const (
	Ours     = string(oneJoold)
	Upstream = string(upstream)
)

// Measurement is one round of the benchmark: new sessions at full rate from J to
// K. The test TestBench leaves a list of them in /out/measurements.json.
type Measurement struct {
	Daemon  string        // which joold runs on both sides: Ours or Upstream
	Opened  uint64        // sessions that J has in the end
	Sent    uint64        // those that J's kernel gave to the daemon
	Dropped uint64        // those that J's kernel dropped by itself (ENOSPC)
	Stored  uint64        // those that K has in the end
	SendCPU time.Duration // processor time of J's daemon
	RecvCPU time.Duration // processor time of K's
}
