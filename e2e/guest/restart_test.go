package guest

import (
	"testing"
	"time"
)

// TestRestart restarts J's supervisor under a service manager that keeps its sockets. Full syncs and retransmissions
// are off, so the sessions that J's module reports while no supervisor runs reach K through these sockets only. The
// oldest module reports only a part of the sessions that are opened while no ACKs arrive.
func TestRestart(t *testing.T) {
	enter(t, "heal")
	const before, meanwhile = 20, 400
	top := newTopology(t)
	pairJ, pairK := top.pairs(group6)
	pairJ.plain, pairK.plain = true, true
	startWorker(t, supervised, top.k, pairK)

	listener := top.j.listenToModule(t, "nat")
	j := startManaged(t, top.j, pairJ)
	crossed := func() {
		t.Helper()
		eventually(t, time.Minute, "K has what J's module reported", func() string { return top.k.lacks(t, listener, "nat") })
	}
	top.sendUDP(t, portRange(10000, 1), before, slowly())
	eventually(t, time.Minute, "J's module reports", func() string {
		if len(listener.reported(t)) == 0 {
			return "nothing yet"
		}
		return ""
	})
	crossed()
	sent := func() uint64 {
		st, _ := statusOf(t, j.socket)
		return st.Totals["NET_SENT_PKTS"]
	}
	sentBefore := sent()
	j.restart(t, func() {
		reported := len(listener.reported(t))
		top.sendUDP(t, portRange(11000, 10), meanwhile/10, slowly())
		if now := len(listener.reported(t)); now <= reported {
			t.Errorf("J's module reported nothing while no supervisor ran: %d sessions, before it were %d", now, reported)
		}
	})
	if !losesBursts(module(t)) {
		top.awaitSameCount(t, before+meanwhile, time.Minute)
	}
	crossed()
	if now := sent(); sentBefore == 0 || now <= sentBefore {
		t.Errorf("%d datagrams sent, before the restart it were %d", now, sentBefore)
	}
	j.manager.Await(t, 0)
	j.stop(t)
}
