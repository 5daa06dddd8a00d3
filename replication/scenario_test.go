package replication

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// staged is a world in which nothing happens by chance. Its hosts have no sessions at first.
type staged struct {
	*world
	t *testing.T
	// The host that stores, a third host, a sender, an origin.
	receiver, third, sender, origin *host
}

// stage makes hosts that are complete. The origin has reported one session.
func stage(t *testing.T) *staged {
	w := &world{rand: rand.New(rand.NewPCG(1, 1)), traced: true, keys: keys, lost: 1 << 40, drops: 1 << 40, refuses: 1 << 40}
	w.begin(4)
	s := &staged{w, t, w.order[0], w.order[1], w.order[2], w.order[3]}
	s.reports(s.origin, 0)
	if err := w.settle(); err != nil {
		t.Fatal(err)
	}
	w.settling = true
	return s
}

// judged fails if a host is wrong.
func (s *staged) judged() {
	s.t.Helper()
	if err := s.check(); err != nil {
		s.t.Fatalf("%v\n%s", err, strings.Join(s.trace, "\n"))
	}
}

// reports has a host report a session, which all reachable hosts receive.
func (s *staged) reports(h *host, key int) {
	h.open(key)
	h.report()
	s.judged()
}

// hello has all hosts hear each other's HELLOs.
func (s *staged) hello() {
	for _, h := range s.up() {
		h.sayHello(true)
	}
	s.judged()
}

// moves has a host be on a side, and all find out.
func (s *staged) moves(h *host, side int) {
	h.side = side
	for _, h := range s.up() {
		s.notice(h)
	}
	s.hello()
}

// dies has a host be gone, and all find out.
func (s *staged) dies(h *host) {
	h.up = false
	s.leave(h)
	for _, h := range s.up() {
		s.notice(h)
	}
	s.hello()
}

// syncs has a host request a full sync, and return what the sender lacks.
func (s *staged) syncs(h, from *host) {
	h.begin(from, true)
	s.goesOn(h)
	for len(s.returns) > 0 {
		to := s.hosts[s.returns[0].to]
		s.takeReturn(true)
		if to != nil && to.in != nil && to.in.from == h.id {
			s.goesOn(to)
		}
	}
	s.judged()
}

// goesOn runs a full sync to its end.
func (s *staged) goesOn(h *host) {
	for h.in != nil {
		h.step(true)
		s.judged()
	}
}

// injects has a full sync arrive, but only the first of its sessions be stored.
func (s *staged) injects(h, from *host) {
	h.begin(from, false)
	h.readTheirs()
	h.readOwn()
	h.compare()
	h.inject(1)
	s.judged()
}

// evicts has a host restart so often that the receiver drops the component of the origin, which is dead.
func (s *staged) evicts(by *host) {
	s.moves(by, s.receiver.side)
	held := func() bool {
		_, found := s.receiver.vector.Get(s.origin.id)
		return found
	}
	for restarts := 0; held() && restarts < 2*MaxOrigins; restarts++ {
		by.incarnate()
		by.listening = time.Time{}
		by.table, by.generation, by.seq = table{}, 0, 0
		by.sayHello(true)
		s.judged()
		s.pass(10 * time.Millisecond)
	}
	if held() {
		s.t.Error("the component is still there")
	}
}

// loses has a host's module refuse a session that the host has given to it. The host does not know yet.
func (s *staged) loses(h *host, key int) {
	h.table[key], h.refused = 0, true
	s.judged()
}

// TestScenarios has what random events rarely bring about. No host says that it is complete while it could know better, and
// in the end all are.
func TestScenarios(t *testing.T) {
	for _, c := range []struct {
		name   string
		events func(s *staged)
	}{
		{"the component of a dead origin is evicted", func(s *staged) {
			s.moves(s.third, 1)
			s.moves(s.sender, 1)
			s.reports(s.origin, 1)
			s.dies(s.origin)
			s.evicts(s.sender)
			s.moves(s.third, 0)
		}},
		{"it is evicted during a full sync", func(s *staged) {
			s.moves(s.third, 1)
			s.moves(s.sender, 1)
			s.reports(s.origin, 1)
			s.receiver.begin(s.third, false) // which is not there
			s.dies(s.origin)
			s.evicts(s.sender)
			s.moves(s.third, 0)
			s.receiver.finish()
			s.hello()
		}},
		{"it is evicted while its session waits for a full sync", func(s *staged) {
			s.receiver.begin(s.sender, false)
			s.moves(s.third, 1)
			s.moves(s.sender, 1)
			s.reports(s.origin, 1)
			s.dies(s.origin)
			s.evicts(s.sender)
			s.moves(s.third, 0)
			for range 3 { // the receiver evicts what the third host returns, too
				s.syncs(s.third, s.receiver)
			}
			s.receiver.finish()
			s.hello()
		}},
		{"a doubt while sessions wait", func(s *staged) {
			s.moves(s.third, 1)
			s.reports(s.origin, 1)
			s.loses(s.receiver, 1)
			s.receiver.begin(s.sender, false)
			s.receiver.readErrors()
			s.moves(s.third, 0)
			s.syncs(s.third, s.receiver)
		}},
		{"a session that waits, after a doubt and a return", func(s *staged) {
			s.receiver.begin(s.sender, false)
			s.receiver.doubt()
			s.syncs(s.third, s.receiver)
			s.moves(s.third, 1)
			s.reports(s.origin, 1)
			s.moves(s.third, 0)
			s.syncs(s.third, s.receiver)
		}},
		{"an origin dies behind its last datagram", func(s *staged) {
			s.moves(s.third, 1)
			s.moves(s.sender, 1)
			s.origin.open(1)
			s.origin.report()
			s.origin.up = false
			s.leave(s.origin)
			s.notice(s.receiver)
			s.moves(s.third, 0)
		}},
		{"an origin that was taken to be gone lives for long", func(s *staged) {
			s.moves(s.third, 1)
			s.moves(s.sender, 1)
			s.receiver.find(s.origin.id).live = false
			s.judged()
			for range (longest + 30*time.Second) / (10 * time.Second) {
				s.pass(10 * time.Second)
				s.hello()
			}
			s.reports(s.origin, 1)
			s.dies(s.origin)
			s.moves(s.third, 0)
		}},
		{"an origin dies while sessions of it are stored", func(s *staged) {
			s.moves(s.third, 1)
			s.moves(s.receiver, 1)
			s.reports(s.origin, 1)
			s.reports(s.origin, 2)
			s.moves(s.receiver, 0)
			s.injects(s.receiver, s.sender)
			s.dies(s.sender)
			s.dies(s.origin)
			s.moves(s.third, 0)
			s.syncs(s.third, s.receiver)
			s.receiver.inject(keys)
			s.receiver.finish()
			s.hello()
		}},
		{"the sender dies while sessions that it has not reported are stored", func(s *staged) {
			s.sender.open(1)
			s.sender.open(2)
			s.injects(s.receiver, s.sender)
			s.dies(s.sender)
			s.syncs(s.third, s.receiver)
			s.receiver.inject(keys)
			s.receiver.finish()
			s.hello()
		}},
		{"the sender dies before it has reported a session", func(s *staged) {
			s.sender.open(1)
			s.syncs(s.receiver, s.sender)
			s.dies(s.sender)
		}},
		{"the requester of a full sync dies before it has reported a session", func(s *staged) {
			s.sender.open(1)
			s.syncs(s.sender, s.receiver)
			s.dies(s.sender)
		}},
		{"the receiver restarts, then the sender dies", func(s *staged) {
			s.sender.open(1)
			s.syncs(s.receiver, s.sender)
			s.receiver.inherit()
			s.pass(listenFor + 1)
			s.hello()
			s.dies(s.sender)
		}},
		{"the sender says HELLO before it has reported a session", func(s *staged) {
			s.sender.open(1)
			s.syncs(s.receiver, s.sender)
			s.pass(time.Second)
			s.hello()
			s.dies(s.sender)
		}},
		{"a session is reported, but nobody receives the datagram", func(s *staged) {
			s.sender.open(1)
			s.syncs(s.receiver, s.sender)
			s.lost = 1
			s.sender.report()
			s.pass(reportedWithin / 2)
			s.hello()
			s.pass(reportedWithin/2 + 1)
			s.hello()
			s.dies(s.sender)
		}},
		{"the sender of a session that it has from another host dies with that one", func(s *staged) {
			s.sender.open(1)
			s.syncs(s.receiver, s.sender)
			s.syncs(s.third, s.receiver)
			s.lost = 1
			s.sender.report()
			s.pass(reportedWithin / 2)
			s.hello()
			s.pass(reportedWithin/2 + 1)
			s.hello()
			s.sender.up, s.receiver.up = false, false
			s.leave(s.sender)
			s.leave(s.receiver)
			s.third.find(s.sender.id).live = false
			s.judged()
			s.notice(s.third)
			s.notice(s.origin)
			s.hello()
		}},
		{"the sender learns before END that it has lost a session", func(s *staged) {
			s.moves(s.third, 1)
			s.reports(s.origin, 1)
			s.loses(s.sender, 1)
			s.moves(s.third, 0)
			s.syncs(s.third, s.sender)
		}},
		{"the sender loses a session before the return arrives", func(s *staged) {
			s.reports(s.origin, 1)
			s.sender.doubt()
			s.third.begin(s.sender, true)
			s.goesOn(s.third)
			s.loses(s.sender, 1)
			s.sender.readErrors()
			s.takeReturn(true)
			s.judged()
		}},
		{"the sender loses a session and restarts before the return arrives", func(s *staged) {
			s.reports(s.origin, 1)
			s.sender.doubt()
			s.third.begin(s.sender, true)
			s.goesOn(s.third)
			s.loses(s.sender, 1)
			s.sender.inherit()
			s.takeReturn(true)
			s.pass(listenFor + 1)
			s.hello()
		}},
		{"the receiver learns before the return that it has lost a session", func(s *staged) {
			s.moves(s.sender, 1)
			s.reports(s.origin, 1)
			s.loses(s.receiver, 1)
			s.moves(s.sender, 0)
			s.receiver.begin(s.sender, true)
			s.receiver.readErrors()
			s.goesOn(s.receiver)
			s.takeReturn(true)
			s.judged()
		}},
		{"the receiver learns that it has lost a session when the return is queued", func(s *staged) {
			s.moves(s.sender, 1)
			s.reports(s.origin, 1)
			s.loses(s.receiver, 1)
			s.moves(s.sender, 0)
			s.receiver.begin(s.sender, true)
			s.goesOn(s.receiver)
			s.takeReturn(true)
			s.judged()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := stage(t)
			c.events(s)
			if err := s.settle(); err != nil {
				t.Fatalf("%v\n%s", err, strings.Join(s.trace, "\n"))
			}
		})
	}
}
