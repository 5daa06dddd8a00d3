package guest

import (
	"testing"
	"time"
)

// TestRestart restarts J's supervisor under a service manager that keeps its
// sockets. Without resync and repeats, what J opens while no supervisor runs gets
// to K by these sockets alone.
func TestRestart(t *testing.T) {
	enter(t, "heal")
	const before, meanwhile = 20, 400
	top := newTopology(t)
	pairJ, pairK := top.pairs(group6)
	pairJ.plain, pairK.plain = true, true
	startWorker(t, supervised, top.k, pairK)

	j := startManaged(t, top.j, pairJ)
	top.sendUDP(t, portRange(10000, 1), before, pace{})
	top.awaitSameCount(t, before, time.Minute)
	sent := func() uint64 {
		st, _ := statusOf(t, j.socket)
		return st.Totals["NET_SENT_PKTS"]
	}
	sentBefore := sent()
	j.restart(t, func() { top.sendUDP(t, portRange(11000, 10), meanwhile/10, pace{}) })
	top.awaitSameCount(t, before+meanwhile, time.Minute)
	if now := sent(); sentBefore == 0 || now <= sentBefore {
		t.Errorf("%d datagrams sent, before the restart it were %d", now, sentBefore)
	}
	j.manager.Await(t, 0)
	j.stop(t)
}
