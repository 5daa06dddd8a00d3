package guest

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"joolctl/joolnl"
)

const (
	steadySources = 40
	steadyPorts   = 90
)

// costOf measures what both daemons use while traffic flows, and until they are at rest.
func costOf(t testing.TB, top *topology, j, k worker, traffic func() time.Duration) (m LiveCost) {
	t.Helper()
	inJ, threadsJ, threadsK := top.j.stats(t, "nat"), j.threads(t), k.threads(t)
	m.Took = traffic()
	after := top.j.stats(t, "nat")
	grown := func(s joolnl.Stat) uint64 { return after[s.String()] - inJ[s.String()] }
	m.Packets, m.Sent, m.Dropped = grown(joolnl.StatSuccess), grown(joolnl.StatSessionsSent), grown(joolnl.StatSessionsDropped)
	m.Stored = uint64(top.k.sessionCount(t, "nat"))
	m.SendThreads, m.SendCPU = usedSince(threadsJ, j.threads(t))
	m.RecvThreads, m.RecvCPU = usedSince(threadsK, k.threads(t))
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

// steady sends packets over 3,600 connections in turn, as fast as the machine translates, for so long.
func (top *topology) steady(t testing.TB, j, k worker, during time.Duration) LiveCost {
	t.Helper()
	sources, messages := top.sources(t, portRange(10000, steadySources)), messagesTo(steadyPorts)
	const connections = steadySources * steadyPorts
	before := top.k.sessionCount(t, "nat")
	opened := -1
	eventually(t, time.Minute, "K has the connections", func() string {
		n := top.k.sessionCount(t, "nat") - before
		if n >= connections {
			return ""
		}
		if n == opened || opened < 0 { // none has come since: the module, or the machine before it, has lost some
			for _, c := range sources {
				for i := range messages {
					if err := writeAll(c, messages[i:i+1]); err != nil {
						t.Fatal(err)
					}
					if i%10 == 0 {
						<-time.After(time.Millisecond)
					}
				}
			}
		}
		opened = n
		return fmt.Sprintf("K has %d", n)
	})
	const rest = 3 * time.Second // what waits for its refresh period is sent, and the module's queue is empty
	<-time.After(rest)
	return costOf(t, top, j, k, func() time.Duration {
		began := time.Now()
		failed := make(chan error)
		go func() {
			runtime.LockOSThread()
			var err error
			for i := 0; err == nil && time.Since(began) < during; i++ {
				err = writeAll(sources[i%len(sources)], messages)
			}
			failed <- err
		}()
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		<-time.After(rest)
		return took
	})
}

// newSessions opens sessions at the highest rate.
func (top *topology) newSessions(t testing.TB, j, k worker, sources, ports int) LiveCost {
	t.Helper()
	return costOf(t, top, j, k, func() time.Duration {
		began := time.Now()
		top.flood(t, portRange(20000, sources), ports)
		took := time.Since(began)
		top.settledCount(t, 1+sources*ports, 5*time.Second, time.Minute)
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
