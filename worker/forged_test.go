package worker

import (
	"slices"
	"testing"
	"time"

	"joolctl/replication"
	"joolctl/session"
	"joolctl/syncwire"
)

// TestScriptedFullSync plays the sender of a full sync whose messages are lost, duplicated, reordered or inconsistent.
func TestScriptedFullSync(t *testing.T) {
	const n = 100 // three BULKs
	records := sessionsAt(0, n)
	for _, c := range []struct {
		name string
		play func(s *peer, to syncwire.ID)
		want int
	}{
		{"nothing is lost", func(s *peer, to syncwire.ID) {
			s.begin(to, 5, n)
			s.fullSync(5, records)
		}, n},
		{"out of order and twice", func(s *peer, to syncwire.ID) {
			s.begin(to, 5, n)
			s.begin(to, 5, n)
			for _, i := range []int{2, 0, 2, 1, 0} {
				s.bulk(5, i, records)
			}
			s.end(5, n)
		}, n},
		{"an empty table", func(s *peer, to syncwire.ID) {
			s.begin(to, 5, 0)
			s.end(5, 0)
		}, 0},
		{"END of an empty table is lost", func(s *peer, to syncwire.ID) {
			s.begin(to, 5, 0)
			s.nacked(5)
			s.end(5, 0)
		}, 0},
		{"a BULK is lost", func(s *peer, to syncwire.ID) {
			s.begin(to, 5, n)
			s.bulk(5, 0, records)
			s.bulk(5, 2, records)
			s.end(5, n)
			if got := s.nacked(5); !slices.Equal(got, []syncwire.Range{{From: 1, To: 1}}) {
				s.t.Errorf("the NACK requests %v", got)
			}
			s.bulk(5, 1, records)
		}, n},
		{"END is lost", func(s *peer, to syncwire.ID) {
			s.begin(to, 5, n)
			s.bulks(5, records)
			if got := s.nacked(5); !slices.Equal(got, []syncwire.Range{{From: 2, To: 2}}) {
				s.t.Errorf("asked for %v", got)
			}
			s.bulk(5, 2, records)
			s.end(5, n)
		}, n},
		{"all but BEGIN is lost", func(s *peer, to syncwire.ID) {
			s.begin(to, 5, n)
			if got := s.nacked(5); !slices.Equal(got, []syncwire.Range{{From: 0, To: 2}}) {
				s.t.Errorf("asked for %v", got)
			}
			s.fullSync(5, records)
		}, n},
		{"BEGIN's estimate, and a corrected BEGIN", func(s *peer, to syncwire.ID) {
			s.begin(to, 5, 7)
			s.begin(to, 5, n)
			s.fullSync(5, records)
		}, n},
		{"BEGIN's estimate is too low, the corrected BEGIN is lost", func(s *peer, to syncwire.ID) {
			s.begin(to, 5, 50)
			s.fullSync(5, records)
			if got := s.nacked(5); !slices.Equal(got, []syncwire.Range{{From: 2, To: 2}}) {
				s.t.Errorf("asked for %v", got)
			}
			s.bulks(5, records)
		}, n},
		{"BEGIN's estimate is too high, the corrected BEGIN is lost", func(s *peer, to syncwire.ID) {
			s.begin(to, 5, 5000)
			s.fullSync(5, records)
			s.nacked(5)
			s.bulks(5, records)
		}, n},
		{"BEGIN of another full sync", func(s *peer, to syncwire.ID) {
			s.begin(to, 5, n)
			s.bulk(5, 0, records)
			s.begin(to, 6, n)
			s.bulks(5, records) // of the previous full sync
			s.fullSync(6, records)
		}, n},
		{"GONE, and another full sync", func(s *peer, to syncwire.ID) {
			s.begin(to, 5, n)
			s.say(&syncwire.Gone{To: to, FullSync: 5, Ranges: []syncwire.Range{{From: 0, To: 2}}})
			s.asked(n)
			s.begin(to, 6, n)
			s.fullSync(6, records)
		}, n},
		{"a malformed BULK, and more BULKs than were announced", func(s *peer, to syncwire.ID) {
			s.begin(to, 5, 1)
			broken := sessionAt(0, 0)
			broken[34] = 0xff
			s.bulk(5, 0, []session.Record{broken})
			s.begin(to, 5, replication.MaxSessions)
			s.bulk(5, 2000, slices.Repeat(records, 2000))
			s.begin(to, 5, n)
			s.begin(to, 6, n)
			s.fullSync(6, records)
		}, n},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, h := virtualPeer(t)
			c.play(s, s.asked(n))
			if r := h.synced(); r.Got != c.want || r.Injected != c.want {
				t.Errorf("%+v", r)
			}
			if d := differing(records[:c.want], h.Module.Records(), apart); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestInjectedIsCut sends a full sync with a session whose time left exceeds the timeout. The worker reduces it to the timeout.
func TestInjectedIsCut(t *testing.T) {
	s, h := virtualPeer(t)
	to := s.asked(2)
	records := sessionsAt(0, 2)
	records[0].SetExpires(1<<32 - 1)
	s.begin(to, 5, 2)
	began := h.v.Clock.Now()
	s.bulk(5, 0, records)
	s.end(5, 2)
	h.synced()
	stored := h.Module.Records()
	most := h.v.Clock.Now().Sub(began).Milliseconds() + 2*37 // sessionsAt returns sessions that have been idle for up to 37 ms each
	for _, r := range stored {
		if i := replication.Idle(&r, ttl); i < 0 || i > most {
			t.Errorf("%x is idle for %d ms, want %d at most", r, i, most)
		}
	}
	if h.counters().Ledger().Cut == 0 {
		t.Error("the reduced time left was not counted")
	}
}

// TestFullBacklog sends more live datagrams during a full sync than the backlog can hold. The worker then gives all of them to the
// module, in order, and the full sync does not overwrite their sessions.
func TestFullBacklog(t *testing.T) {
	s, h := virtualPeer(t)
	to := s.asked(4)
	stale, other := kind(sessionAt(0, 0), session.TCP, session.Established, 0, time.Minute), sessionAt(4, time.Second)
	s.begin(to, 5, 2)
	h.v.until("it receives", func() bool { return h.Sync().Phase == replication.PhaseCollecting.String() })
	s.live(kind(stale, session.TCP, session.V6FinRcv, 0, 0))
	filler := make([]session.Record, 36)
	for i := range filler {
		filler[i] = sessionAt(1000+4*i, 0)
	}
	for range replication.MaxBacklog/(36*40) + 1 {
		s.live(filler...)
		if s.last%50 == 0 {
			h.v.until("the datagrams are received", func() bool { return h.counters().Stats().NetRcvdPackets == uint64(s.last) })
			s.begin(to, 5, 2) // keeps the full sync alive
		}
	}
	s.live(kind(stale, session.TCP, session.Trans, session.TimerTransitory, 0))
	h.v.until("the backlog is given to the module", func() bool {
		s.begin(to, 5, 2)
		r, _ := h.get(stale)
		return r.State() == session.Trans
	})
	s.bulk(5, 0, []session.Record{stale, other})
	s.end(5, 2)
	h.synced()
	if r, _ := h.get(stale); r.State() != session.Trans {
		t.Errorf("moved back to %v", r.State())
	}
	if _, there := h.get(other); !there {
		t.Error("the other session of the full sync is missing")
	}
}
