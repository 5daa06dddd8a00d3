package guest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"joolctl/joolnl"
)

// stall measures how long a packet takes through J while J's table goes to a standby.
func (b *standbyBench) stall(n int) {
	// during pings before and while do runs, and words the difference.
	during := func(t *testing.T, top *topology, do func()) string {
		const baseline = 10 * time.Second
		before := make(chan struct{})
		time.AfterFunc(baseline, func() { close(before) })
		usual := top.roundTrips(t, before)
		done := make(chan struct{})
		go func() { defer close(done); do() }()
		took := top.roundTrips(t, done)
		return fmt.Sprintf("longest %v, 1 in 1000 over %v (before: %v, %v; %d pings)", tenths(took[len(took)-1]), tenths(quantile(took, 0.999)),
			tenths(usual[len(usual)-1]), tenths(quantile(usual, 0.999)), len(took))
	}
	b.row(fmt.Sprintf("round trip of a ping through J while %d sessions go to K", n),
		func(t *testing.T, top *topology) string {
			pairJ, pairK := top.pairs(group6)
			top.j.fill(t, "nat", n)
			startWorker(t, upstream, top.j, pairJ)
			startWorker(t, upstream, top.k, pairK)
			return during(t, top, func() {
				top.j.onInstance(t, "nat", func(c *joolnl.Conn) error { return c.AskAdvertise() })
				top.settledCount(t, n, 5*time.Second, 4*time.Minute)
			})
		},
		func(t *testing.T, top *topology) string {
			pairJ, pairK := top.pairs(group6)
			top.j.fill(t, "nat", n)
			startWorker(t, supervised, top.j, pairJ).awaitSynced(t, "alone")
			return during(t, top, func() {
				startWorker(t, supervised, top.k, pairK)
				top.settledCount(t, n, time.Minute, 4*time.Minute)
			})
		})
}

// tenths rounds to tenths of milliseconds.
func tenths(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

// latency measures how long a new session takes from its first packet to the
// datagram on the link: the kernel's part is the same for both.
func (b *standbyBench) latency() {
	const samples = 1000
	run := func(kind daemon) func(*testing.T, *topology) string {
		return func(t *testing.T, top *topology) string {
			pairJ, _ := top.pairs(group6)
			top.j.exec(t, "jool", "-i", "nat", "global", "update", "ss-max-sessions-per-packet", "1") // or the kernel waits for more
			startWorker(t, kind, top.j, pairJ)
			c := top.k.listenGroup(t)
			var took []time.Duration
			datagram := make([]byte, 1500)
			for i := range samples {
				began := time.Now()
				top.sendUDP(t, []uint16{uint16(10000 + i)}, 1, pace{})
				for { // ours speaks of other things too
					if err := c.SetReadDeadline(time.Now().Add(replyWithin)); err != nil {
						t.Fatal(err)
					}
					n, err := c.Read(datagram)
					if err != nil {
						t.Fatal(err)
					}
					if n > 2 && (datagram[0] != 0 || datagram[1] != 0) {
						break
					}
				}
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			return fmt.Sprintf("p50 %v, p99 %v", quantile(took, 0.5).Round(10*time.Microsecond), quantile(took, 0.99).Round(10*time.Microsecond))
		}
	}
	b.row("a session's first packet to its datagram on the link", run(upstream), run(supervised))
}

// million has a cold standby get as many sessions as it may have.
func (b *standbyBench) million(n int) {
	b.row(fmt.Sprintf("%d sessions, to a cold standby that just started", n), nil,
		func(t *testing.T, top *topology) string {
			pairJ, pairK := top.pairs(group6)
			top.j.fill(t, "nat", n)
			j := startWorker(t, supervised, top.j, pairJ)
			j.awaitSynced(t, "alone")
			before := procKB(t, j.process, "status", "VmRSS")
			k := startWorker(t, supervised, top.k, pairK)
			r := k.awaitResync(t, nil, 8*time.Minute)
			got := top.k.sessionCount(t, "nat")
			peakJ, peakK := procKB(t, j.process, "status", "VmHWM")-before, procKB(t, k.process, "status", "VmHWM")-before
			eventually(t, 2*time.Minute, "the memory is given back", func() string {
				restJ, restK := procKB(t, j.process, "status", "VmRSS")-before, procKB(t, k.process, "status", "VmRSS")-before
				const least = 10 << 20
				if restJ > least || restK > least {
					return fmt.Sprintf("%d and %d MB more than before", restJ>>20, restK>>20)
				}
				return ""
			})
			return fmt.Sprintf("%d in %s; at most %d MB more memory at J, %d MB at K, given back afterwards", got, seconds(r.Took), peakJ>>20, peakK>>20)
		})
}
