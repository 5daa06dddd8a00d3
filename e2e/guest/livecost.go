package guest

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"joolctl/joolnl"
)

const (
	steadySources = 40
	steadyPorts   = 90
	// steadyRest is longer than joolctl's refresh period of 1 s.
	steadyRest = 1500 * time.Millisecond

	newSources = 10
	newPorts   = 1000
)

// cost measures the daemons' processor time. traffic must return when both daemons are idle again.
func (h *liveHosts) cost(t testing.TB, traffic func() time.Duration) (m LiveCost) {
	t.Helper()
	before, stored := h.top.j.stats(t, "nat"), h.top.k.sessionCount(t, "nat")
	threadsJ, threadsK := h.j.threads(t), h.k.threads(t)
	m.Took = traffic()
	m.SendThreads, m.SendCPU = usedSince(threadsJ, h.j.threads(t))
	m.RecvThreads, m.RecvCPU = usedSince(threadsK, h.k.threads(t))
	after := h.top.j.stats(t, "nat")
	grown := func(s joolnl.Stat) uint64 { return after[s.String()] - before[s.String()] }
	m.Packets, m.Sent, m.Reports = grown(joolnl.StatSuccess), grown(joolnl.StatSessionsSent), grown(joolnl.StatPacketsSent)
	m.Dropped = grown(joolnl.StatSessionsDropped)
	m.Stored = uint64(h.top.k.sessionCount(t, "nat") - stored)
	return m
}

// usedSince is the threads' use since an earlier look, the busiest thread first.
func usedSince(before, after map[int]ThreadUse) (threads []ThreadUse, sum time.Duration) {
	for id, u := range after {
		u = u.minus(before[id])
		sum += u.CPU
		threads = append(threads, u)
	}
	slices.SortFunc(threads, func(a, b ThreadUse) int { return cmp.Compare(b.CPU, a.CPU) })
	return threads, sum
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

// measureSteady sends packets over the connections in turn, as fast as J translates.
func (h *liveHosts) measureSteady(t testing.TB) LiveCost {
	t.Helper()
	messages, during := messagesTo(steadyPorts), 2*time.Second
	if testing.Short() {
		during = time.Second
	}
	return h.cost(t, func() time.Duration {
		began := time.Now()
		for i := 0; time.Since(began) < during; i++ {
			if err := writeAll(h.steady[i%len(h.steady)], messages); err != nil {
				t.Fatal(err)
			}
		}
		took := time.Since(began)
		<-time.After(steadyRest)
		return took
	})
}

// measureNew opens new sessions, as fast as J translates.
func (h *liveHosts) measureNew(t testing.TB) LiveCost {
	t.Helper()
	before := h.top.k.sessionCount(t, "nat")
	return h.cost(t, func() time.Duration {
		began := time.Now()
		h.top.flood(t, portRange(uint16(20000+h.opened), newSources), newPorts)
		took := time.Since(began)
		h.opened += newSources
		h.top.settledCount(t, before+newSources*newPorts, 5*time.Second, time.Minute)
		return took
	})
}

// String is for the test's log.
func (m LiveCost) String() string {
	per := func(cpu time.Duration) time.Duration {
		return (cpu / time.Duration(max(1, m.Packets))).Round(10 * time.Nanosecond)
	}
	return fmt.Sprintf("%s: %d packets in %v, sent %d, dropped %d, K got %d; sender %v (%v a packet), receiver %v (%v)",
		m.LiveRun, m.Packets, m.Took.Round(time.Millisecond), m.Sent, m.Dropped, m.Stored,
		m.SendCPU.Round(time.Millisecond), per(m.SendCPU), m.RecvCPU.Round(time.Millisecond), per(m.RecvCPU))
}
