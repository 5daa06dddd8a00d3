package guest

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"joolctl/joolnl"
	"joolctl/session"
)

// TestStandby checks that a standby that missed sessions gets all sessions of the active NAT64, for each way in which
// it can have missed them. The sizes and bounds are those of a busy test machine; docs/benchmarks.md has the others.
func TestStandby(t *testing.T) {
	enter(t, "test")
	t.Parallel()
	t.Run("cold, and again", func(t *testing.T) { t.Parallel(); testCold(t) })
	t.Run("loss", func(t *testing.T) { t.Parallel(); testLoss(t) })
	t.Run("away", func(t *testing.T) { t.Parallel(); testAway(t) })
	t.Run("burst", func(t *testing.T) { t.Parallel(); testBurst(t) })
	t.Run("stale", func(t *testing.T) { t.Parallel(); testStale(t) })
	t.Run("silent loss", func(t *testing.T) { t.Parallel(); testSilentLoss(t) })
}

// testCold starts an empty standby, then starts it again.
func testCold(t *testing.T) {
	const n = 10_000
	top := newTopology(t)
	pairJ, pairK := top.pairs(group6)
	top.j.fill(t, "nat", n)
	j := startWorker(t, supervised, top.j, pairJ)
	j.awaitSynced(t, "alone")
	before := procKB(t, j.process, "status", "VmRSS")
	k := startWorker(t, supervised, top.k, pairK)
	cold := k.awaitFullSync(t, nil, time.Minute)
	if got := top.k.sessionCount(t, "nat"); got != n || cold.Injected != n || cold.Collided != 0 {
		t.Errorf("a cold standby has %d of %d sessions; %+v", got, n, cold)
	}
	if d := diff(top.j.sessions(t, "nat"), top.k.sessions(t, "nat")); d != "" {
		t.Error(d)
	}
	awaitMemory(t, n, before, j, k)
	k.stop(t)
	k = startWorker(t, supervised, top.k, pairK)
	again := k.awaitFullSync(t, nil, time.Minute)
	if again.Injected > n/100 || again.Returned > n/100 || again.Received != n {
		t.Errorf("a complete standby: %+v", again)
	}
	k.stop(t)

	top.keptRestart(t, pairK)
	eventually(t, syncedWithin, "the standby has what was opened meanwhile", func() string {
		return diff(top.j.sessions(t, "nat"), top.k.sessions(t, "nat"))
	})
}

// testLoss opens sessions while one datagram in ten is lost, both ways.
func testLoss(t *testing.T) {
	const sources, ports = 40, 25
	top := newTopology(t)
	pairJ, pairK := top.pairs(group6)
	startWorker(t, supervised, top.k, pairK)
	startWorker(t, supervised, top.j, pairJ)
	top.lossy(t, 10)
	top.sendUDP(t, portRange(10000, sources), ports, pace{time.NewTicker(time.Millisecond)})
	top.awaitSameCount(t, sources*ports*9/10, time.Minute)
	eventually(t, syncedWithin, "the tables are equal", func() string {
		return diff(top.j.sessions(t, "nat"), top.k.sessions(t, "nat"))
	})
}

// testAway opens sessions while the active NAT64's worker does not run.
func testAway(t *testing.T) {
	const sources, ports = 40, 25
	top := newTopology(t)
	pairJ, pairK := top.pairs(group6)
	startWorker(t, supervised, top.k, pairK)
	j := startWorker(t, supervised, top.j, pairJ)
	j.stop(t)
	top.sendUDP(t, portRange(10000, sources), ports, pace{})
	startWorker(t, supervised, top.j, pairJ)
	top.awaitSameCount(t, sources*ports/2, time.Minute)
}

// testSilentLoss removes sessions from the standby without a report, while new ones are opened all the time, so that
// the tables' sizes do not show the loss.
func testSilentLoss(t *testing.T) {
	const others, sessions = 5000, 20 // too few of all to be noticed
	top := newTopology(t)
	top.j.fill(t, "nat", others)
	pairJ, pairK := top.pairs(group6)
	pairJ.verifyPeriod, pairK.verifyPeriod = 3, 3
	k := startWorker(t, supervised, top.k, pairK)
	startWorker(t, supervised, top.j, pairJ)
	k.awaitSynced(t, "yes")
	top.sendUDP(t, portRange(11000, 1), sessions, slowly())
	opened := func(in *namespace) (n int, src4 netip.AddrPort) {
		for _, s := range in.sessions(t, "nat") {
			if s.Src6.Port() == 11000 {
				n, src4 = n+1, s.Src4
			}
		}
		return n, src4
	}
	arrived := func() string {
		if n, _ := opened(top.k); n != sessions {
			return fmt.Sprintf("%d of %d", n, sessions)
		}
		return ""
	}
	top.startProbe(t, 50*time.Millisecond) // an old module may lose one of the twenty, too
	eventually(t, syncedWithin, "the standby has the sessions", arrived)
	_, src4 := opened(top.k)
	top.k.onInstance(t, "nat", func(c *joolnl.Conn) error { return c.AskRemoveBIB(session.UDP, src4) })
	eventually(t, syncedWithin, "the standby has them again", arrived)
}

// testBurst opens sessions faster than an old module can report them.
func testBurst(t *testing.T) {
	const sources, ports = 40, 100
	top := newTopology(t)
	pairJ, pairK := top.pairs(group6)
	startWorker(t, supervised, top.k, pairK)
	startWorker(t, supervised, top.j, pairJ)
	top.flood(t, portRange(10000, sources), ports)
	top.awaitSameCount(t, sources*ports/2, 2*time.Minute)
}

// testStale reconnects a standby that was cut off while mappings changed. The newer record wins on both sides,
// whichever starts last.
func testStale(t *testing.T) {
	top := newTopology(t)
	pairJ, pairK := top.pairs(group6)
	const n = 100
	at := func(i int, left time.Duration) session.Session {
		return madeUpUDP(i*1000, left) // one behind each mask
	}
	var inJ, inK []session.Session
	for i := range n {
		switch i % 4 {
		case 0: // J has had traffic since
			inJ, inK = append(inJ, at(i, 290*time.Second)), append(inK, at(i, 100*time.Second))
		case 1: // K has
			inJ, inK = append(inJ, at(i, 100*time.Second)), append(inK, at(i, 290*time.Second))
		case 2: // the host has another mask in K, which is older
			s := at(i, 100*time.Second)
			s.Src4 = at(i+1000, 0).Src4
			inJ, inK = append(inJ, at(i, 290*time.Second)), append(inK, s)
		case 3: // the mask has another host in K, which is older
			s := at(i, 100*time.Second)
			s.Src6 = at(i+1000, 0).Src6
			inJ, inK = append(inJ, at(i, 290*time.Second)), append(inK, s)
		}
	}
	top.j.addSessions(t, "nat", inJ...)
	top.k.addSessions(t, "nat", inK...)
	startWorker(t, supervised, top.j, pairJ)
	k := startWorker(t, supervised, top.k, pairK)
	report := k.awaitFullSync(t, nil, time.Minute)
	eventually(t, time.Minute, "the newer ones are on both sides", func() string {
		want := make(map[string]session.Session)
		for _, list := range [][]session.Session{inK, inJ} {
			for _, s := range list {
				key := s.Src6.String() + s.Dst4.String()
				if old, ok := want[key]; !ok || s.Expires > old.Expires {
					want[key] = s
				}
			}
		}
		return missingIn(want, top.j.sessions(t, "nat"), "J") + missingIn(want, top.k.sessions(t, "nat"), "K")
	})
	t.Logf("%+v", report)
}

// missingIn returns which of the newest sessions a table lacks, or has in an older state.
func missingIn(want map[string]session.Session, have []session.Session, where string) string {
	byKey := make(map[string]session.Session)
	for _, s := range have {
		byKey[s.Src6.String()+s.Dst4.String()] = s
	}
	text := ""
	for key, w := range want {
		if w.Expires < 200*time.Second {
			continue // older ones may go, where they are in the way
		}
		if h := byKey[key]; h.Src4 != w.Src4 || w.Expires-h.Expires > time.Minute {
			text += where + " has " + h.Src4.String() + " for " + key + ", left " + h.Expires.String() + "\n"
		}
	}
	return text
}
