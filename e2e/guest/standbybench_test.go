package guest

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"joolctl/joolnl"
)

// TestStandbyBench measures what a standby comes to hold, with C joold and with
// ours, and leaves the rows in /out.
func TestStandbyBench(t *testing.T) {
	enter(t, "standby")
	b := standbyBench{t: t, lossy: losesBursts(module(t))}
	if !b.lossy {
		b.cold(40_000)
		b.cold(200_000)
		for _, percent := range []int{1, 5, 10} {
			b.loss(percent)
		}
		b.refresh()
		b.advertise(40_000)
		b.upstreamAdvertises(40_000)
		b.latency()
		b.stall(200_000)
		b.million(1_000_000)
	}
	b.burst()
	b.away()
	text, err := json.Marshal(b.rows)
	if err == nil {
		err = os.WriteFile("/out/standby.json", text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

type standbyBench struct {
	t     *testing.T
	lossy bool // the module loses bursts
	rows  []StandbyRow
}

// row runs a measurement in a topology of its own.
func (b *standbyBench) row(what string, upstream, ours func(t *testing.T, top *topology) string) {
	r := StandbyRow{What: what}
	for _, m := range []struct {
		name    string
		measure func(*testing.T, *topology) string
		to      *string
	}{{"C joold", upstream, &r.Upstream}, {"ours", ours, &r.Ours}} {
		if m.measure != nil {
			b.t.Run(what+", "+m.name, func(t *testing.T) { *m.to = m.measure(t, newTopology(t)) })
		}
	}
	b.t.Logf("%+v", r)
	b.rows = append(b.rows, r)
}

// seconds words a duration.
func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// settledCount waits until K's table has not grown for a while, or is full, but
// not for longer than limit: C joold may go on for ever.
func (top *topology) settledCount(t testing.TB, full int, quiet, limit time.Duration) (n int, took time.Duration) {
	began, last, since := time.Now(), -1, time.Now()
	eventually(t, limit+quiet, "K's table stands still", func() string {
		n = top.k.sessionCount(t, "nat")
		if n != last {
			last, since = n, time.Now()
		}
		if n >= full || time.Since(since) > quiet || time.Since(began) > limit {
			return ""
		}
		return fmt.Sprintf("it has %d", n)
	})
	return n, since.Sub(began)
}

func (b *standbyBench) cold(n int) {
	b.row(fmt.Sprintf("%d sessions, to a cold standby that just started; C joold: its own advertise", n),
		func(t *testing.T, top *topology) string {
			pairJ, pairK := top.pairs(group6)
			top.j.fill(t, "nat", n)
			startWorker(t, upstream, top.j, pairJ)
			startWorker(t, upstream, top.k, pairK)
			top.j.onInstance(t, "nat", func(c *joolnl.Conn) error { return c.AskAdvertise() })
			got, took := top.settledCount(t, n, 15*time.Second, 4*time.Minute)
			return fmt.Sprintf("%d in %s", got, seconds(took))
		},
		func(t *testing.T, top *topology) string {
			pairJ, pairK := top.pairs(group6)
			top.j.fill(t, "nat", n)
			j := startWorker(t, supervised, top.j, pairJ)
			j.awaitSynced(t, "alone")
			began := time.Now()
			k := startWorker(t, supervised, top.k, pairK)
			got, _ := top.settledCount(t, n, time.Minute, 4*time.Minute)
			took := time.Since(began)
			first := k.awaitResync(t, nil, time.Minute)
			k.stop(t)
			k = startWorker(t, supervised, top.k, pairK)
			again := k.awaitResync(t, nil, 2*time.Minute)
			k.stop(t)
			m := startManaged(t, top.k, pairK)
			m.awaitResync(t, nil, 2*time.Minute)
			m.restart(t, func() {})
			kept := m.awaitResync(t, nil, 2*time.Minute)
			return fmt.Sprintf("%d in %s (resync %s)", got, seconds(took), seconds(first.Took)) +
				fmt.Sprintf("; again: %d injected, resync %s", again.Injected, seconds(again.Took)) +
				fmt.Sprintf("; again after a restart by systemd: %d injected, %s after %.2f s", kept.Injected, kept.Why, kept.Took.Seconds())
		})
}

func (b *standbyBench) loss(percent int) {
	const sources, ports = 40, 100
	run := func(kind daemon) func(*testing.T, *topology) string {
		return func(t *testing.T, top *topology) string {
			pairJ, pairK := top.pairs(group6)
			startWorker(t, kind, top.k, pairK)
			startWorker(t, kind, top.j, pairJ)
			top.lossy(t, percent)
			top.sendUDP(t, portRange(10000, sources), ports, pace{time.NewTicker(500 * time.Microsecond)})
			last := time.Now()
			got, _ := top.settledCount(t, sources*ports, 10*time.Second, time.Minute)
			return fmt.Sprintf("%d of %d, %s after the last", got, top.j.sessionCount(t, "nat"), seconds(time.Since(last)))
		}
	}
	b.row(fmt.Sprintf("4000 new sessions at up to 2000/s, %d %% loss both ways", percent), run(upstream), run(supervised))
}

// refresh sends 40 packets over each of 360 connections.
func (b *standbyBench) refresh() {
	const sources, ports, rounds = 36, 10, 40
	run := func(kind daemon) func(*testing.T, *topology) string {
		return func(t *testing.T, top *topology) string {
			pairJ, pairK := top.pairs(group6)
			startWorker(t, kind, top.k, pairK)
			startWorker(t, kind, top.j, pairJ)
			began := time.Now()
			for range rounds {
				top.sendUDP(t, portRange(10000, sources), ports, pace{time.NewTicker(500 * time.Microsecond)})
			}
			took := time.Since(began)
			settled := func() uint64 { return top.k.stats(t, "nat")[joolnl.StatSessionsRcvd.String()] }
			before, since := settled(), time.Now()
			eventually(t, time.Minute, "no more updates come", func() string {
				if n := settled(); n != before {
					before, since = n, time.Now()
				}
				if time.Since(since) > 6*time.Second {
					return ""
				}
				return fmt.Sprint(before)
			})
			behind := time.Duration(0)
			j, k := top.j.sessions(t, "nat"), top.k.sessions(t, "nat")
			byPort := make(map[string]time.Duration)
			for _, s := range k {
				byPort[s.Src6.String()+s.Dst4.String()] = s.Expires
			}
			for _, s := range j {
				behind = max(behind, s.Expires-byPort[s.Src6.String()+s.Dst4.String()])
			}
			return fmt.Sprintf("%d updates in %s (360 × (T+3) = %.0f); the standby at most %s behind in the end",
				before, seconds(took), 360*(took.Seconds()+3), seconds(behind))
		}
	}
	b.row("14400 packets of 360 connections", run(upstream), run(supervised))
}

func (b *standbyBench) advertise(n int) {
	b.row(fmt.Sprintf("joolctl advertise of %d sessions, a C joold with default buffers receives; C joold: its own", n), nil,
		func(t *testing.T, top *topology) string {
			pairJ, pairK := top.pairs(group6)
			top.j.fill(t, "nat", n)
			j := startWorker(t, supervised, top.j, pairJ)
			startWorker(t, upstream, top.k, pairK)
			if out, code := command(t, joolctl, "--socket", j.socket, "advertise", "--all"); code != exitOK {
				t.Fatal(out)
			}
			got, took := top.settledCount(t, n, 15*time.Second, 3*time.Minute)
			return fmt.Sprintf("%d in %s", got, seconds(took))
		})
}

func (b *standbyBench) upstreamAdvertises(n int) {
	run := func(unsorted bool) func(*testing.T, *topology) string {
		return func(t *testing.T, top *topology) string {
			pairJ, pairK := top.pairs(group6)
			pairK.plain = unsorted
			top.j.fill(t, "nat", n)
			startWorker(t, upstream, top.j, pairJ)
			startWorker(t, supervised, top.k, pairK)
			top.j.onInstance(t, "nat", func(c *joolnl.Conn) error { return c.AskAdvertise() })
			got, took := top.settledCount(t, n, 15*time.Second, 4*time.Minute)
			if unsorted {
				return fmt.Sprintf("(ours, in the order in which they come: %d in %s)", got, seconds(took))
			}
			return fmt.Sprintf("%d in %s", got, seconds(took))
		}
	}
	b.row(fmt.Sprintf("C joold advertises %d sessions, ours receives", n), run(true), run(false))
}

// burst opens 4000 sessions at once.
func (b *standbyBench) burst() {
	const sources, ports = 40, 100
	run := func(kind daemon) func(*testing.T, *topology) string {
		return func(t *testing.T, top *topology) string {
			pairJ, pairK := top.pairs(group6)
			startWorker(t, kind, top.k, pairK)
			startWorker(t, kind, top.j, pairJ)
			top.flood(t, portRange(10000, sources), ports)
			last := time.Now()
			got, _ := top.settledCount(t, sources*ports, 20*time.Second, time.Minute)
			return fmt.Sprintf("%d of %d, %s after the last", got, top.j.sessionCount(t, "nat"), seconds(time.Since(last)))
		}
	}
	b.row("4000 sessions opened at once", run(upstream), run(supervised))
}

// away opens 4000 sessions while the active side's worker is not there.
func (b *standbyBench) away() {
	const sources, ports = 40, 100
	run := func(kind daemon) func(*testing.T, *topology) string {
		return func(t *testing.T, top *topology) string {
			pairJ, pairK := top.pairs(group6)
			startWorker(t, kind, top.k, pairK)
			startWorker(t, kind, top.j, pairJ).stop(t)
			awhile := time.After(10 * time.Second)
			top.sendUDP(t, portRange(10000, sources), ports, pace{time.NewTicker(500 * time.Microsecond)})
			<-awhile
			opened := top.j.sessionCount(t, "nat")
			startWorker(t, kind, top.j, pairJ)
			back := time.Now()
			got, _ := top.settledCount(t, opened, 15*time.Second, time.Minute)
			return fmt.Sprintf("%d of %d, %s after the start", got, opened, seconds(time.Since(back)))
		}
	}
	b.row("the active side's worker is away for 10 s, in which 4000 sessions are opened", run(upstream), run(supervised))
}
