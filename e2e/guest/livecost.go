package guest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/ipv6"

	"joolctl/joolnl"
)

const (
	steadySources = 40
	steadyPorts   = 90

	newSources = 10
	newPorts   = 1000

	// restFor is longer than joolctl's refresh period of 1 s.
	restFor = 1500 * time.Millisecond

	// settledAfter is longer than joolctl takes to give back the memory that only its start needs.
	settledAfter = 35 * time.Second
)

// costSlice is a measurement that has begun.
type costSlice struct {
	LiveCost
	stats              map[string]uint64
	sessions           int
	threadsJ, threadsK map[int]time.Duration
}

// beginCost begins a measurement. The daemons must be idle.
func (h *liveHosts) beginCost(t testing.TB, r LiveRun, slice int) {
	t.Helper()
	h.slice = &costSlice{
		LiveCost: LiveCost{LiveRun: r, Slice: slice},
		stats:    h.top.j.stats(t, "nat"), sessions: h.top.k.sessionCount(t, "nat"),
		threadsJ: h.j.threads(t), threadsK: h.k.threads(t),
	}
}

// endCost ends the measurement that has begun, if there is one. The daemons must be idle.
func (h *liveHosts) endCost(t testing.TB) (m LiveCost, ok bool) {
	t.Helper()
	if h.slice == nil {
		return m, false
	}
	m = h.slice.LiveCost
	m.SendCPU, m.RecvCPU = h.j.usedSince(t, h.slice.threadsJ), h.k.usedSince(t, h.slice.threadsK)
	after := h.top.j.stats(t, "nat")
	grown := func(s joolnl.Stat) uint64 { return after[s.String()] - h.slice.stats[s.String()] }
	m.Packets, m.Dropped = grown(joolnl.StatSuccess), grown(joolnl.StatSessionsDropped)
	m.Stored = uint64(h.top.k.sessionCount(t, "nat") - h.slice.sessions)
	h.slice = nil
	return m, true
}

// openSteady opens the connections of the row steady and waits until K has all of them.
func (h *liveHosts) openSteady(t testing.TB) {
	t.Helper()
	h.steady = h.top.sources(t, portRange(10000, steadySources))
	messages := messagesTo(steadyPorts)
	before, opened := h.top.k.sessionCount(t, "nat"), -1
	eventually(t, time.Minute, "K has the connections", func() string {
		n := h.top.k.sessionCount(t, "nat") - before
		if n >= steadySources*steadyPorts {
			return ""
		}
		if n == opened || opened < 0 { // the last sessions are lost
			p := pace{time.NewTicker(time.Millisecond)}
			for _, c := range h.steady {
				for chunk := range slices.Chunk(messages, 10) {
					p.wait()
					if err := writeAll(c, chunk); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		opened = n
		return fmt.Sprintf("K has %d", n)
	})
}

// sendSteady sends packets over the connections in turn, as fast as J translates, for several of joolctl's refresh
// periods.
func (h *liveHosts) sendSteady(t testing.TB) {
	t.Helper()
	messages, during := messagesTo(steadyPorts), 5*time.Second
	for began := time.Now(); time.Since(began) < during; {
		h.sendBatch(t, messages)
	}
}

// sendBatch sends messages over the next of the steady connections' sources.
func (h *liveHosts) sendBatch(t testing.TB, messages []ipv6.Message) {
	t.Helper()
	if err := writeAll(h.steady[h.turn%len(h.steady)], messages); err != nil {
		t.Fatal(err)
	}
	h.turn++
}

// sendNew opens new sessions, as fast as J translates.
func (h *liveHosts) sendNew(t testing.TB) {
	t.Helper()
	h.top.flood(t, portRange(uint16(20000+h.opened), newSources), newPorts)
	h.opened += newSources
}

// String is for the test's log.
func (m LiveCost) String() string {
	per := func(cpu time.Duration) time.Duration {
		return (cpu / time.Duration(max(1, m.Packets))).Round(10 * time.Nanosecond)
	}
	return fmt.Sprintf("%s, slice %d: %d packets in %v, dropped %d, K got %d; sender %v (%v a packet), receiver %v (%v)",
		m.LiveRun, m.Slice, m.Packets, m.Took.Round(time.Millisecond), m.Dropped, m.Stored,
		m.SendCPU.Round(time.Millisecond), per(m.SendCPU), m.RecvCPU.Round(time.Millisecond), per(m.RecvCPU))
}
