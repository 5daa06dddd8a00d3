package guest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"joolctl/joolnl"
	"joolctl/replication"
	control "joolctl/supervisor"
)

// cold starts an empty standby, then starts it again. The row compares its memory with that of the active side's worker
// before.
func (b *standbyBench) cold(n int) {
	const most = 200_000 // more would take C joold too long
	upstreams := func(t *testing.T, top *topology) string {
		pairJ, pairK := top.pairs(group6)
		top.j.fill(t, "nat", n)
		startWorker(t, upstream, top.j, pairJ)
		startWorker(t, upstream, top.k, pairK)
		top.j.onInstance(t, "nat", func(c *joolnl.Conn) error { return c.AskAdvertise() })
		got, took := top.settledCount(t, n, 15*time.Second, 4*time.Minute)
		return fmt.Sprintf("%d in %s", got, seconds(took))
	}
	if n > most {
		upstreams = nil
	}
	b.row(fmt.Sprintf("%d sessions, to a cold standby that just started; C joold: its own advertise", n), upstreams,
		func(t *testing.T, top *topology) string {
			pairJ, pairK := top.pairs(group6)
			top.j.fill(t, "nat", n)
			j := startWorker(t, supervised, top.j, pairJ)
			j.awaitSynced(t, "alone")
			before := procKB(t, j.process, "status", "VmRSS")
			began := time.Now()
			k := startWorker(t, supervised, top.k, pairK)
			got, _ := top.settledCount(t, n, time.Minute, 8*time.Minute)
			took := time.Since(began)
			first := k.awaitFullSync(t, nil, time.Minute)
			if got != n || first.Injected != n || first.Collided != 0 {
				t.Errorf("%d of %d sessions; %+v", got, n, first)
			}
			const each = 200 * time.Microsecond // 8 s for 40,000
			atMost(t, "a cold standby", took, time.Duration(n)*each)
			text := fmt.Sprintf("%d in %s (full sync %s)", got, seconds(took), seconds(first.Duration())) + awaitMemory(t, n, before, j, k)
			if n > most {
				return text
			}
			k.stop(t)
			k = startWorker(t, supervised, top.k, pairK)
			again := k.awaitFullSync(t, nil, 2*time.Minute)
			if again.Injected > n/100 || again.Returned > n/100 || again.Received != n {
				t.Errorf("a complete standby: %+v", again)
			}
			k.stop(t)
			kept := top.keptRestart(t, pairK)
			if kept.Cause == nothingMissed {
				// The host also waits for HELLOs of other peers.
				atMost(t, "a restart with nothing missed", kept.Duration(), max(first.Duration()/4, 2*replication.ListenForMore))
			}
			return text + fmt.Sprintf("; again: %d injected, full sync %s", again.Injected, seconds(again.Duration())) +
				fmt.Sprintf("; again after a restart by systemd: %d injected, %s after %.2f s", kept.Injected, kept.Cause, kept.Duration().Seconds())
		})
}

// awaitMemory returns as text how much more memory a full sync of n sessions took, and waits until it has been given
// back.
func awaitMemory(t *testing.T, n int, before int64, j, k worker) string {
	t.Helper()
	const (
		perSession = 150 // a million in 150 MB
		slack      = 10 << 20
	)
	peakJ, peakK := procKB(t, j.process, "status", "VmHWM")-before, procKB(t, k.process, "status", "VmHWM")-before
	if bound := int64(n)*perSession + slack; peakJ > bound || peakK > bound {
		t.Errorf("%d and %d bytes more memory, may be %d", peakJ, peakK, bound)
	}
	eventually(t, 2*time.Minute, "the memory is given back", func() string {
		restJ, restK := procKB(t, j.process, "status", "VmRSS")-before, procKB(t, k.process, "status", "VmRSS")-before
		if restJ > slack || restK > slack {
			return fmt.Sprintf("%d and %d MB more than before", restJ>>20, restK>>20)
		}
		return ""
	})
	return fmt.Sprintf("; at most %d MB more memory at J, %d MB at K, given back afterwards", peakJ>>20, peakK>>20)
}

// nothingMissed is the cause of the report of no full sync.
const nothingMissed = "nothing was missed"

// keptRestart restarts K's supervisor under a service manager that keeps its descriptors. Meanwhile sessions are opened. The new
// worker requests no full sync, unless the module has no counters that show that the table is unchanged.
func (top *topology) keptRestart(t *testing.T, p pair) *control.FullSync {
	t.Helper()
	m := startManaged(t, top.k, p)
	m.awaitFullSync(t, nil, 2*time.Minute)
	m.awaitSynced(t, "yes") // its table may lack what a worker before has claimed to have
	eventually(t, time.Minute, "J has compared its table with that of the workers before, too", func() string {
		s, err := control.Client{Socket: m.socket}.Status(context.Background(), nil)
		if err != nil {
			return err.Error()
		}
		for _, peer := range s.Workers[0].Peers {
			if peer.Live && peer.Synced != "yes" {
				return "peer " + peer.Address + " says " + peer.Synced
			}
		}
		if own := s.Workers[0].Synced; own != "yes" { // at the end of J's comparison, K may have to compare once more
			return "K says " + own
		}
		return ""
	})
	const meanwhile = 20
	m.restart(t, func() { top.sendUDP(t, portRange(20000, 1), meanwhile, pace{}) })
	kept := m.awaitFullSync(t, nil, 2*time.Minute)
	if inherited := kept.Cause == nothingMissed; inherited != countsJoold(module(t)) {
		t.Errorf("after a restart: %+v", kept)
	}
	top.awaitSameCount(t, 0, syncedWithin)
	return kept
}

// loss opens sessions while some of the datagrams are lost, both ways.
func (b *standbyBench) loss(percent int) {
	const sources, ports = 40, 100
	run := func(kind daemon) measurement {
		return func(t *testing.T, top *topology) string {
			pairJ, pairK := top.pairs(group6)
			startWorker(t, kind, top.k, pairK)
			startWorker(t, kind, top.j, pairJ)
			top.lossy(t, percent)
			top.sendUDP(t, portRange(10000, sources), ports, pace{time.NewTicker(500 * time.Microsecond)})
			return afterTheLast(t, top, kind, sources*ports, 5*time.Second)
		}
	}
	b.row(fmt.Sprintf("%d new sessions at up to 2000/s, %d %% loss both ways", sources*ports, percent), run(upstream), run(supervised))
}

// afterTheLast returns as text how many of n opened sessions the standby gets, and when it had them. With joolctl it
// must get all in time.
func afterTheLast(t *testing.T, top *topology, kind daemon, n int, bound time.Duration) string {
	t.Helper()
	got, took := top.settledCount(t, n, 20*time.Second, time.Minute)
	opened := top.j.sessionCount(t, "nat")
	if kind.ours() {
		if got != opened || opened < n/2 { // J may lose a part of the packets that are sent at once
			t.Errorf("%d of %d; %d were to be opened", got, opened, n)
		}
		atMost(t, "the last session", took, bound)
	}
	return fmt.Sprintf("%d of %d, %s after the last", got, opened, seconds(took))
}

// refresh sends packets over each of 360 connections.
func (b *standbyBench) refresh(rounds int) {
	const (
		sources, ports, parts = 36, 10, 2 // one part is sent between two looks at the table
		connections           = sources * ports
		bound                 = 2 * time.Second
	)
	run := func(kind daemon) measurement {
		return func(t *testing.T, top *topology) string {
			pairJ, pairK := top.pairs(group6)
			startWorker(t, kind, top.k, pairK)
			startWorker(t, kind, top.j, pairJ)
			lag := lag{top: top, since: make(map[string]time.Time)}
			began := time.Now()
			for i := range rounds * parts {
				top.sendUDP(t, portRange(uint16(10000+i%parts*sources/parts), sources/parts), ports, pace{time.NewTicker(500 * time.Microsecond)})
				lag.sample(t)
			}
			took := time.Since(began)
			updates := func() uint64 { return top.k.stats(t, "nat")[joolnl.StatSessionsRcvd.String()] }
			before, since := updates(), time.Now()
			eventually(t, time.Minute, "no more updates come", func() string {
				lag.sample(t)
				if n := updates(); n != before {
					before, since = n, time.Now()
				}
				if time.Since(since) > 6*time.Second {
					return ""
				}
				return fmt.Sprint(before)
			})
			ending := lag.sample(t)
			most := connections * (took.Seconds() + 3)
			if kind.ours() {
				if float64(before) > most {
					t.Errorf("%d updates in %v, may be %.0f", before, took, most)
				}
				if d := diff(top.j.sessions(t, "nat"), top.k.sessions(t, "nat")); d != "" {
					t.Error(d)
				}
				atMost(t, "the standby's time left", lag.greatest, bound)
			}
			return fmt.Sprintf("%d updates in %s (%d × (T+3) = %.0f); the standby at most %s behind meanwhile (%d looks), %s in the end",
				before, seconds(took), connections, most, seconds(lag.greatest), lag.samples, seconds(ending))
		}
	}
	b.row(fmt.Sprintf("%d packets of %d connections", rounds*connections, connections), run(upstream), run(supervised))
}

// advertise sends a table to an upstream standby.
func (b *standbyBench) advertise(n int) {
	b.row(fmt.Sprintf("joolctl advertise of %d sessions, a C joold with default buffers receives; C joold: its own", n), nil,
		func(t *testing.T, top *topology) string {
			pairJ, pairK := top.pairs(group6)
			top.j.fill(t, "nat", n)
			j := startWorker(t, supervised, top.j, pairJ)
			startWorker(t, upstream, top.k, pairK)
			// C joold joins the group before it reads the socket. On trixie's kernel the difference is a second.
			eventually(t, time.Minute, "C joold stores what J sends", func() string {
				top.sendUDP(t, portRange(20000, 1), 1, pace{})
				if top.k.sessionCount(t, "nat") == 0 {
					return "K has no session"
				}
				return ""
			})
			all := top.j.sessionCount(t, "nat")
			if out, code := j.command(t, "advertise", "--all"); code != exitOK {
				t.Fatal(out)
			}
			got, took := top.settledCount(t, all, 15*time.Second, 3*time.Minute)
			if got != all {
				t.Errorf("%d of %d", got, all)
			}
			return fmt.Sprintf("%d in %s", got, seconds(took))
		})
}

// burst opens sessions at once, faster than an old module can report them.
func (b *standbyBench) burst() {
	const sources, ports = 40, 100
	run := func(kind daemon) measurement {
		return func(t *testing.T, top *topology) string {
			pairJ, pairK := top.pairs(group6)
			startWorker(t, kind, top.k, pairK)
			startWorker(t, kind, top.j, pairJ)
			top.flood(t, portRange(10000, sources), ports)
			return afterTheLast(t, top, kind, sources*ports, 20*time.Second)
		}
	}
	b.row(fmt.Sprintf("%d sessions opened at once", sources*ports), run(upstream), run(supervised))
}

// away opens sessions while the active host's worker does not run.
func (b *standbyBench) away() {
	const sources, ports = 40, 100
	run := func(kind daemon) measurement {
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
			took := time.Since(back)
			if kind.ours() {
				if got != opened || opened != sources*ports {
					t.Errorf("%d of %d, of %d that were sent", got, opened, sources*ports)
				}
				atMost(t, "the last session", took, 5*time.Second)
			}
			return fmt.Sprintf("%d of %d, %s after the start", got, opened, seconds(took))
		}
	}
	b.row(fmt.Sprintf("the active side's worker is away for 10 s, in which %d sessions are opened", sources*ports), run(upstream), run(supervised))
}
