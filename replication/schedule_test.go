package replication

import (
	"testing"
	"time"
)

// TestSchedule has full syncs end at one moment, and wants others then.
func TestSchedule(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for _, c := range []struct {
		name   string
		before int // full syncs because of CauseLacks about a peer
		want   func(s *Schedule, peer, other *Peer)
		cause  string
		due    time.Duration
	}{
		{"the first", 0, func(s *Schedule, peer, _ *Peer) { s.Want(CauseLacks, peer, now) }, CauseLacks, 0},
		{"another cause", 4, func(s *Schedule, peer, _ *Peer) { s.Want(CauseBlocked, peer, now) }, CauseBlocked, FirstPause},
		{"another peer", 4, func(s *Schedule, _, other *Peer) { s.Want(CauseLacks, other, now) }, CauseLacks, FirstPause},
		{"the second", 1, func(s *Schedule, peer, _ *Peer) { s.Want(CauseLacks, peer, now) }, CauseLacks, 2 * FirstPause},
		{"the fifth", 4, func(s *Schedule, peer, _ *Peer) { s.Want(CauseLacks, peer, now) }, CauseLacks, 16 * FirstPause},
		{"the difference was gone", 4, func(s *Schedule, peer, _ *Peer) {
			s.Unwant(CauseLacks, peer)
			s.Want(CauseLacks, peer, now)
		}, CauseLacks, FirstPause},
		{"a suspicion", 1, func(s *Schedule, peer, _ *Peer) { s.Suspect(CauseLargerTable, peer, now) }, CauseLargerTable, CostFactor * 2 * time.Second},
		{"a verification", 4, func(s *Schedule, _, _ *Peer) { s.Want(CauseVerification, nil, now) }, CauseVerification, 0},
		{"not before", 1, func(s *Schedule, peer, _ *Peer) { s.WantAfter(CauseLacks, peer, now.Add(time.Hour), now) }, CauseLacks, time.Hour},
		{"a later one is wanted already", 4, func(s *Schedule, peer, other *Peer) {
			s.Want(CauseLacks, peer, now)
			s.Want(CauseLacks, other, now)
		}, CauseLacks, FirstPause},
		{"a sooner one is wanted already", 4, func(s *Schedule, peer, _ *Peer) {
			s.Want(CauseBlocked, peer, now)
			s.Want(CauseLacks, peer, now)
		}, CauseBlocked, FirstPause},
		{"one is under way", 0, func(s *Schedule, peer, _ *Peer) {
			s.Set(CauseStart)
			s.Running = true
			s.Want(CauseLacks, peer, now)
			s.Unwant(CauseStart, peer)
		}, CauseStart, 0},
		{"dropped", 1, func(s *Schedule, peer, _ *Peer) {
			s.Want(CauseLacks, peer, now)
			s.Unwant(CauseLacks, peer)
		}, "", 0},
	} {
		s, peer, other := new(Schedule), new(Peer), new(Peer)
		for range c.before {
			s.ended = time.Time{}
			s.Want(CauseLacks, peer, now)
			s.Count(true, now)
			s.Took(2 * time.Second)
			s.Finish(now)
		}
		c.want(s, peer, other)
		if due := s.Due().Sub(now); s.Cause != c.cause || c.due > 0 && due != c.due {
			t.Errorf("%s: %q in %v, want %q in %v", c.name, s.Cause, due, c.cause, c.due)
		}
	}
}
