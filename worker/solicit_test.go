package worker

import (
	"testing"

	"joolctl/replication"
	"joolctl/syncwire"
)

// TestSolicitIsLost ignores two SOLICITs of a worker, as if they were lost. The worker sends SOLICIT again, and does not give up
// its only peer.
func TestSolicitIsLost(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, 2)
	const n = 100
	s := bed.peer(0)
	h := bed.standby(1)
	h.start()
	to := s.asked(n)
	for range 2 {
		control[*syncwire.Solicit](s)
	}
	if h.log.count("no peer gave its session table") > 0 {
		t.Error("the worker has given up")
	}
	s.begin(to, 5, n)
	for i := range bulksOf(n) {
		s.bulk(5, i, sessionsAt(0, n))
	}
	s.end(5, n)
	if r := h.synced(); r.Injected != n {
		t.Errorf("%+v", r)
	}
}

// TestSolicitedTwice sends a second SOLICIT to a worker while it reads its table, like a host that has not received BEGIN. The
// worker sends its table once.
func TestSolicitedTwice(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, 2)
	s := bed.peer(0)
	h := bed.standby(1, sessionsAt(0, 5000)...)
	gate := h.gate()
	h.start()
	h.alone()
	_, m := control[*syncwire.Hello](s)
	gate.Lock()
	s.say(&syncwire.Solicit{To: m.Sender})
	control[*syncwire.Begin](s)
	s.say(&syncwire.Solicit{To: m.Sender})
	gate.Unlock()
	control[*syncwire.End](s)
	if n := s.said(m.Sender, replication.KeepSent/2)[syncwire.TypeBegin]; n > 0 {
		t.Errorf("%d more BEGINs", n)
	}
}
