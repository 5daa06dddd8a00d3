package replication

import (
	"testing"
	"time"

	"joolctl/session"
)

// TestStalls has sessions reported before and after stalls.
func TestStalls(t *testing.T) {
	f := session.Packed40
	first, second := sessionAt(1, 0), sessionAt(2, 0)
	for _, c := range []struct {
		name string
		do   func(s *Stalls)
		want []session.Key
	}{
		{"nothing has stalled", func(s *Stalls) {
			s.Reported(f, packedList(t, first))
		}, nil},
		{"reported after a stall", func(s *Stalls) {
			s.Suspect(7 * time.Second)
			list := packedList(t, first)
			s.Reported(f, list)
			s.Reported(f, nil)
			if left := f.Expires(list); left != first.Expires()-7000 {
				t.Errorf("%d ms are left of %d", left, first.Expires())
			}
		}, []session.Key{first.Key()}},
		{"a stall before it was sent, and another session after that", func(s *Stalls) {
			s.Reported(f, packedList(t, first))
			s.Delayed(f, packedList(t, first), 2*time.Second)
			s.Reported(f, packedList(t, second))
		}, []session.Key{first.Key(), second.Key()}},
		{"reported again while the table is read", func(s *Stalls) {
			s.Suspect(time.Second)
			s.Reported(f, packedList(t, first, second))
			s.take()
			s.Reported(f, packedList(t, first))
		}, []session.Key{second.Key()}},
		{"two stalls", func(s *Stalls) {
			s.Suspect(time.Second)
			s.Reported(f, packedList(t, first))
			s.take()
			s.Suspect(time.Second)
			s.Reported(f, packedList(t, second))
		}, []session.Key{second.Key()}},
		{"a stall while the table is read", func(s *Stalls) {
			s.Suspect(time.Second)
			s.Reported(f, packedList(t, first))
			s.take()
			s.reading = true
			s.Suspect(time.Second)
			s.Reported(f, packedList(t, second))
		}, []session.Key{first.Key()}},
		{"the table has been read", func(s *Stalls) {
			s.reading = true
			for _, r := range []session.Record{first, second} {
				s.Suspect(time.Second)
				s.Reported(f, packedList(t, r))
				s.take()
			}
			s.reading = false
		}, []session.Key{first.Key(), second.Key()}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s Stalls
			c.do(&s)
			s.take()
			for _, key := range c.want {
				if _, is := s.again[key]; !is {
					t.Errorf("not sent again: %v", key)
				}
			}
			if len(s.again) != len(c.want) {
				t.Errorf("%d are sent again, want %d", len(s.again), len(c.want))
			}
		})
	}
}

// TestStallsAreBounded has so many sessions reported after a stall, or such expensive stalls, that a full sync has to bring the times
// left.
func TestStallsAreBounded(t *testing.T) {
	for _, c := range []struct {
		name     string
		sessions int
		spent    time.Duration // on reading the table before
		want     bool
	}{
		{"few", maxStalled, 0, false},
		{"too many", maxStalled + 1, 0, true},
		{"few, but the table was read for a minute", 1, time.Minute, true},
	} {
		e := newHost()
		e.host.Sender.charge(c.spent, e.now)
		before := e.host.Knowledge.Position().Generation
		e.host.Stalls.Suspect(time.Second)
		e.host.Stalls.Reported(session.Packed40, packedList(t, sessionsAt(0, c.sessions)...))
		if n := len(e.host.Stalls.noted); n > maxStalled {
			t.Errorf("%s: %d sessions are noted", c.name, n)
		}
		e.host.SendStalled()
		if rises := e.host.Knowledge.Position().Generation != before; rises != c.want || e.host.Stalls.overflow {
			t.Errorf("%s: the generation rises: %v", c.name, rises)
		}
	}
}
