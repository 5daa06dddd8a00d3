package worker

import (
	"testing"
	"time"

	"joolctl/replication"
	"joolctl/syncwire"
)

// short is a worker with a peer that says HELLO each second.
type short struct {
	*driven
	from     *replication.Peer
	now      time.Time
	sessions uint32          // that the peer holds; the worker's module holds none
	stores   int             // sessions that each resync stores
	asked    []time.Duration // when the worker asked, since the start
}

func (s *short) run(d time.Duration, each func()) {
	began := s.now
	s.asked = nil
	for s.now.Sub(began) < d {
		s.now = s.now.Add(time.Second)
		s.peers.Heard(s.from.Address, s.from.ID, s.now)
		s.helloFrom(s.from, &syncwire.Hello{Sync: syncwire.SyncYes, Sessions: s.sessions, Settings: ttl, Generation: 1}, 0, s.now)
		each()
		s.resync.tick(s.now)
		if s.resync.phase == asking {
			s.asked = append(s.asked, s.now.Sub(began))
			s.ends()
		}
	}
}

// whole is the vector of the peer's table.
func (s *short) whole() []syncwire.Component {
	at := syncwire.Position{Generation: 1}
	return []syncwire.Component{{Origin: s.from.ID, Known: true, Complete: at, Highest: at}}
}

// ends lets the resync end at once.
func (s *short) ends() {
	r := &s.resync
	r.in = &incoming{vector: s.whole(), doubts: s.knowledge.Doubts(), asked: true, id: 1, from: s.from, base: s.now,
		storing: storing{injection: replication.Injection{Given: s.stores}, report: ResyncReport{GaveBack: s.stores}}}
	r.done(s.now)
}

// TestLastingDifference has a peer's table stay larger for an hour, though the worker has taken all of it.
func TestLastingDifference(t *testing.T) {
	for _, c := range []struct {
		name   string
		stores int
	}{{"nothing is stored", 0}, {"each time another session is stored", 1}} {
		t.Run(c.name, func(t *testing.T) {
			drive(t, jool4115, func(d *driven) {
				now := time.Now()
				s := &short{driven: d, now: now, sessions: 10, stores: c.stores}
				s.from = d.peers.Heard(group6, 0x10f, now)
				d.resync.finish(now)
				d.resync.sync, d.resync.period = syncwire.SyncYes, 0
				s.from.Stream.Start(1)

				s.run(time.Hour, func() {})
				if n := len(s.asked); n < 10 || n > 25 {
					t.Errorf("asked %d times in an hour, first at %v", n, s.asked[:min(n, 10)])
				}
				if last := s.asked[len(s.asked)-2:]; last[1]-last[0] < replication.LongestPause {
					t.Errorf("asked at %v: the pause does not grow to minutes", last)
				}

				// Another reason does not wait for that, nor does the same one with another peer.
				lost := false
				s.run(10*time.Second, func() {
					if !lost {
						lost = true
						d.resync.Want(replication.CauseLacks, nil, s.now)
					}
				})
				if len(s.asked) == 0 || s.asked[0] > 3*time.Second {
					t.Errorf("after a loss asked at %v", s.asked)
				}
				other := d.peers.Heard(group4, 0x20f, s.now)
				if d.resync.Suspect(replication.CauseShortfall, other, s.now); d.resync.About != other || d.resync.Due().Sub(s.now) > 3*time.Second {
					t.Errorf("another peer waits %v", d.resync.Due().Sub(s.now))
				}

				// The difference is gone for a while, and then there is another.
				s.sessions = 0
				s.run(10*time.Second, func() {})
				s.sessions = 10
				s.run(20*time.Second, func() {})
				if len(s.asked) == 0 || s.asked[0] > 10*time.Second {
					t.Errorf("for a new difference asked at %v", s.asked)
				}
				d.resync.finish(time.Now())
			})
		})
	}
}
