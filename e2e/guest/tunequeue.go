package guest

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"joolctl/joolnl"
)

// never is a deadline after which the module never flushes its queue.
const never = 1<<32 - 1

// measureQueues fills J's queue with more and more sessions and measures the kernel's memory. J has no worker, because
// the module keeps its queue as long as no ACK arrives. Packets of open connections fill the queue, so the tables of
// sessions do not grow.
func (top *topology) measureQueues(t testing.TB, capacities ...uint64) (all []TuneQueue) {
	t.Helper()
	top.j.changeSettings(t, map[string]uint64{"ss-flush-deadline": never, "ss-capacity": capacities[0]})
	sources := top.sources(t, portRange(10000, steadySources))
	for _, capacity := range capacities {
		top.j.changeSettings(t, map[string]uint64{"ss-capacity": capacity})
		top.fillQueue(t, sources)
		top.fillQueue(t, sources) // the first traffic after a change may allocate more than the queue
		all = append(all, TuneQueue{capacity, unreclaimable(t)})
		t.Logf("capacity %d: %d bytes, counters %v", capacity, all[len(all)-1].Memory, top.j.stats(t, "nat"))
	}
	return all
}

// fillQueue sends packets until J's module drops sessions.
func (top *topology) fillQueue(t testing.TB, sources []*net.UDPConn) {
	t.Helper()
	dropped := func() uint64 { return top.j.stats(t, "nat")[joolnl.StatSessionsDropped.String()] }
	before, messages := dropped(), messagesTo(steadyPorts)
	eventually(t, time.Minute, "J's queue is full", func() string {
		for _, c := range sources {
			if err := writeAll(c, messages); err != nil {
				t.Fatal(err)
			}
		}
		if n := dropped() - before; n < steadySources*steadyPorts/2 {
			return fmt.Sprintf("J has dropped %d sessions", n)
		}
		return ""
	})
}

// unreclaimable is the kernel's memory in slabs that it cannot reclaim, in bytes: the median of several looks.
func unreclaimable(t testing.TB) int64 {
	t.Helper()
	looks := make([]int64, 9)
	for i := range looks {
		<-time.After(200 * time.Millisecond)
		b, err := os.ReadFile("/proc/meminfo")
		if err != nil {
			t.Fatal(err)
		}
		_, rest, ok := strings.Cut(string(b), "\nSUnreclaim:")
		if _, err := fmt.Sscan(rest, &looks[i]); !ok || err != nil {
			t.Fatalf("/proc/meminfo has no SUnreclaim: %v", err)
		}
	}
	slices.Sort(looks)
	return looks[len(looks)/2] << 10
}
