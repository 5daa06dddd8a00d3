package guest

import (
	"slices"
	"time"
)

// The variants that TestLive compares. Each runs on both hosts.
const (
	LiveUpstream = "C joold"                // with the module's default settings
	LiveSame     = "C joold, same settings" // with the ss-* settings that joolctl makes
	LiveOurs     = "joolctl"                // a supervisor, with "tune ss"
)

// LiveVariants are all of them.
var LiveVariants = []string{LiveUpstream, LiveSame, LiveOurs}

// LiveRows are the rows that TestLive measures, of two NAT64s in one machine.
var LiveRows = []string{"latency", "steady", "new"}

// Live is what TestLive leaves in /out/live.json.
type Live struct {
	// Settings are the ss-* settings that "tune ss" has changed, with their new values.
	Settings map[string]uint64
	Latency  []LiveLatency
	Costs    []LiveCost
	Crashes  []LiveCrash
}

// LiveRun is what a measurement belongs to.
type LiveRun struct {
	Variant string
	Round   int
	Traffic string // in the reader's words
}

// LiveLatency is how long new sessions took from their first packet to the standby's kernel.
type LiveLatency struct {
	LiveRun
	Opened, Lost int
	// Rate is how many sessions were opened in a second.
	Rate float64
	// Samples are the sessions that arrived, in the order of their opening.
	Samples []LiveSample
	// Resolution is how long before an arrival was seen the standby was looked at, on average.
	Resolution time.Duration
	// Stalls is how late a thread woke up that slept a millisecond, again and again.
	Stalls LiveStalls
}

// sorted are the samples' times, the shortest first.
func (m LiveLatency) sorted() []time.Duration {
	took := make([]time.Duration, len(m.Samples))
	for i, s := range m.Samples {
		took[i] = s.Took
	}
	slices.Sort(took)
	return took
}

// LiveSample is one session.
type LiveSample struct {
	Took time.Duration
	// Stall is the longest stall that fell in that time.
	Stall time.Duration
}

// LiveStalls are quantiles.
type LiveStalls struct {
	P50, P99, Longest time.Duration
}

// LiveCost is what traffic cost the daemons.
type LiveCost struct {
	LiveRun
	Packets uint64        // that J translated
	Took    time.Duration // by the sender of the packets
	Sent    uint64        // sessions that J's kernel gave to its daemon; 0 where the module does not count
	Dropped uint64        // those that it dropped
	Stored  uint64        // sessions that K has got
	SendCPU time.Duration // processor time of J's daemon
	RecvCPU time.Duration // of K's
	// SendThreads and RecvThreads are the use of their threads.
	SendThreads, RecvThreads []ThreadUse
}

// LiveCrash is what became of the TCP connections that were open when J crashed.
type LiveCrash struct {
	LiveRun
	Connections, Survivors int
	// YoungestSurvivor is how old it was at the crash; 0 if none survived.
	YoungestSurvivor time.Duration
	// Lost are the ages of the others, the oldest first.
	Lost []time.Duration
}
