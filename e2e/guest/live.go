package guest

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// TestLive compares these variants. A variant runs on both J and K.
const (
	LiveUpstream = "C joold"                // with the module's default settings
	LiveSame     = "C joold, same settings" // with the ss-* settings that "tune ss" sets
	LiveOurs     = "joolctl"                // supervised, with "tune ss"
	LiveKeyed    = "joolctl with a key"     // the same, with "security" "require"
)

// LiveVariants lists the variants that are compared with C joold. LiveKeyed is compared with LiveOurs.
var LiveVariants = []string{LiveUpstream, LiveSame, LiveOurs}

// LiveRows lists the rows that TestLive measures. J and K share a machine.
var LiveRows = []string{"latency", "steady", "new"}

// Names of traffic.
const (
	LiveBurst  = "five at once"
	LiveSteady = "steady"
	LiveNew    = "new sessions"
)

// LiveTraffics lists the traffic of the row latency. LiveRates lists the rates of TCP connections before a crash.
var (
	LiveTraffics = []string{"1/s", "10/s", "100/s", "1000/s", LiveBurst}
	LiveRates    = []string{"3/s", "10/s", "100/s"}
)

// Live has all measurements. TestLive and TestLiveStandby write it to /out/live.json.
type Live struct {
	// Settings maps each ss-* setting that "tune ss" changes to its new value.
	Settings map[string]uint64
	Latency  []LiveLatency
	Costs    []LiveCost
	Crashes  []LiveCrash
}

// LiveRun identifies a measurement.
type LiveRun struct {
	Variant string
	Round   int
	Traffic string // for the reader
}

// String is for the test's log.
func (r LiveRun) String() string {
	return fmt.Sprintf("round %d, %s, %s", r.Round, r.Variant, r.Traffic)
}

// name is the subtest's name.
func (r LiveRun) name() string {
	return fmt.Sprintf("%d/%s/%s", r.Round, r.Variant, strings.TrimSuffix(r.Traffic, "/s"))
}

// LiveLatency measures the time from a session's first packet until the standby's kernel has the session.
type LiveLatency struct {
	LiveRun
	Opened, Lost int
	// Rate is the number of sessions opened in a second.
	Rate float64
	// Samples has the sessions that arrived, in the order in which they were opened.
	Samples []LiveSample
	// Resolution is the average time between the poll that found a session and the poll before.
	Resolution time.Duration
	// Stalls measures the machine itself: how late a thread wakes up that sleeps for a millisecond, again and again.
	Stalls LiveStalls
}

// Times returns the samples' times, the shortest first.
func (m LiveLatency) Times() []time.Duration {
	took := make([]time.Duration, len(m.Samples))
	for i, s := range m.Samples {
		took[i] = s.Took
	}
	slices.Sort(took)
	return took
}

// LiveSample is one session's latency.
type LiveSample struct {
	Took time.Duration
	// Forwarded is the time until the session's packet itself reached n4.
	Forwarded time.Duration
	// Stall is the longest stall of the machine while the session was under way.
	Stall time.Duration
}

// LiveStalls has quantiles of stalls.
type LiveStalls struct {
	P50, P99, Longest time.Duration
}

// LiveCost is the processor time that the daemons used for some traffic.
type LiveCost struct {
	LiveRun
	// Slice is the same for measurements of all variants that follow each other.
	Slice   int
	Packets uint64        // packets that J translated
	Took    time.Duration // time to send the packets
	Dropped uint64        // sessions that J's module dropped (ENOSPC)
	Stored  uint64        // sessions that K's module stored
	SendCPU time.Duration // processor time of J's daemon
	RecvCPU time.Duration // processor time of K's daemon
}

// LiveCrash counts the TCP connections that were open when J crashed.
type LiveCrash struct {
	LiveRun
	Connections, Survivors int
	// YoungestSurvivor is that connection's age at the crash; 0 if none survived.
	YoungestSurvivor time.Duration
	// Lost has the lost connections' ages at the crash, the oldest first.
	Lost []time.Duration
}
