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
	steadyFor     = 2 * time.Second
	// steadyRest is time for joolctl to send what waits for its refresh period.
	steadyRest = 1500 * time.Millisecond

	newSources = 10   // of newPorts sessions each
	newPorts   = 1000 // without a pause
)

// cost measures what both daemons use while traffic flows, and until they are at rest.
func (h *liveHosts) cost(t testing.TB, traffic func() time.Duration) (m LiveCost) {
	t.Helper()
	before, stored := h.top.j.stats(t, "nat"), h.top.k.sessionCount(t, "nat")
	threadsJ, threadsK := h.j.threads(t), h.k.threads(t)
	m.Took = traffic()
	m.SendThreads, m.SendCPU = usedSince(threadsJ, h.j.threads(t))
	m.RecvThreads, m.RecvCPU = usedSince(threadsK, h.k.threads(t))
	after := h.top.j.stats(t, "nat")
	grown := func(s joolnl.Stat) uint64 { return after[s.String()] - before[s.String()] }
	m.Packets, m.Sent, m.Dropped = grown(joolnl.StatSuccess), grown(joolnl.StatSessionsSent), grown(joolnl.StatSessionsDropped)
	m.Stored = uint64(h.top.k.sessionCount(t, "nat") - stored)
	return m
}

// usedSince is what threads have used, those with the most first.
func usedSince(before, after map[int]ThreadUse) (threads []ThreadUse, sum time.Duration) {
	for id, u := range after {
		u = u.minus(before[id])
		sum += u.CPU
		threads = append(threads, u)
	}
	slices.SortFunc(threads, func(a, b ThreadUse) int { return cmp.Compare(b.CPU, a.CPU) })
	return threads, sum
}

// openSteady opens the connections of the row steady, until K has all.
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
		if n == opened || opened < 0 { // no other comes: the module, or the machine before it, has lost some
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
	<-time.After(2 * steadyRest)
}

// measureSteady sends packets over 3,600 connections in turn, as fast as the machine translates them.
func (h *liveHosts) measureSteady(t testing.TB) LiveCost {
	t.Helper()
	messages := messagesTo(steadyPorts)
	return h.cost(t, func() time.Duration {
		began := time.Now()
		for i := 0; time.Since(began) < steadyFor; i++ {
			if err := writeAll(h.steady[i%len(h.steady)], messages); err != nil {
				t.Fatal(err)
			}
		}
		took := time.Since(began)
		<-time.After(steadyRest)
		return took
	})
}

// measureNew opens sessions at the highest rate, which no other measurement has opened.
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

// String words it for the test's log.
func (m LiveCost) String() string {
	per := func(cpu time.Duration) time.Duration {
		return (cpu / time.Duration(max(1, m.Packets))).Round(10 * time.Nanosecond)
	}
	return fmt.Sprintf("round %d, %s, %s: %d packets in %v, sent %d, dropped %d, K has %d; sender %v (%v a packet), receiver %v (%v)",
		m.Round, m.Variant, m.Traffic, m.Packets, m.Took.Round(time.Millisecond), m.Sent, m.Dropped, m.Stored,
		m.SendCPU.Round(time.Millisecond), per(m.SendCPU), m.RecvCPU.Round(time.Millisecond), per(m.RecvCPU))
}
