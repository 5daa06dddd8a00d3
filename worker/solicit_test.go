package worker

import (
	"testing"
	"time"

	"joolctl/replication"
	"joolctl/syncwire"
)

// TestSolicitIsLost ignores two SOLICITs of a worker, as if they were lost. The worker sends SOLICIT again, and does not give up
// its only peer.
func TestSolicitIsLost(t *testing.T) {
	const n = 100
	s, h := virtualPeer(t)
	to := s.asked(n)
	for range 2 {
		control[*syncwire.Solicit](s)
	}
	if h.log.count("no peer gave its session table") > 0 {
		t.Error("the worker has given up")
	}
	s.begin(to, 5, n)
	s.fullSync(5, sessionsAt(0, n))
	if r := h.synced(); r.Injected != n {
		t.Errorf("%+v", r)
	}
}

// TestSolicitedTwice sends a second SOLICIT to a worker while it reads its table, like a host that has not received BEGIN. The
// worker sends its table once.
func TestSolicitedTwice(t *testing.T) {
	s, h := virtualPeer(t, sessionsAt(0, 5000)...)
	h.alone()
	_, m := control[*syncwire.Hello](s)
	s.say(&syncwire.Solicit{To: m.Sender})
	control[*syncwire.Begin](s)
	s.say(&syncwire.Solicit{To: m.Sender})
	h.v.pass(time.Millisecond)
	if len(h.v.inbox) > 0 {
		t.Error("the worker has read its table before the second SOLICIT arrives")
	}
	control[*syncwire.End](s)
	h.v.pass(replication.KeepSent / 2)
	for _, b := range h.v.inbox {
		if m, err := syncwire.Parse(b); err == nil {
			if _, is := m.Body.(*syncwire.Begin); is {
				t.Error("the worker sends its table again")
			}
		}
	}
}
