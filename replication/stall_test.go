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
			before := s.take()
			s.Suspect(time.Second)
			s.Reported(f, packedList(t, second))
			s.take()
			if len(before) > 0 {
				t.Error("the first reading of the table still has sessions to send")
			}
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

// TestStallsAreBounded has many sessions reported after a stall.
func TestStallsAreBounded(t *testing.T) {
	var s Stalls
	s.Suspect(time.Second)
	s.Reported(session.Packed40, packedList(t, sessionsAt(0, maxStalled+100)...))
	if len(s.noted) != maxStalled {
		t.Errorf("%d sessions are noted", len(s.noted))
	}
}
