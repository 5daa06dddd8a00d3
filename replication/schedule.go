package replication

import "time"

// Schedule decides which full sync a host requests next, for which cause, and when. A cause that comes back soon has to wait
// for longer each time (see Backoff); no cause waits for another one. The zero value wants no full sync.
type Schedule struct {
	// Cause is that of the full sync that is wanted, or under way; "": none is. About is the peer that Cause concerns; nil: none.
	Cause string
	About *Peer
	// Running is true from the request to the end of a full sync: no other one is wanted meanwhile.
	Running bool
	due     time.Time     // when to request the wanted one
	pause   time.Duration // before it
	pauses  Pauses        // of the causes that concern no peer
	ended   time.Time     // the last full sync
	cost    time.Duration // how long that took
}

// Due returns when to request the full sync that is wanted.
func (s *Schedule) Due() time.Time { return s.due }

// Want wants a full sync once the pause of its cause is over. about is the peer that the cause concerns; nil: none. If another
// full sync is wanted already, the one that is due first stays.
func (s *Schedule) Want(cause string, about *Peer, now time.Time) {
	s.WantAfter(cause, about, time.Time{}, now)
}

// Suspect is Want for a difference that may be no loss. Such full syncs take little time compared with the last one.
func (s *Schedule) Suspect(cause string, about *Peer, now time.Time) {
	s.WantAfter(cause, about, s.Idle(CostFactor), now)
}

// Idle returns when the last full sync will have ended for factor times as long as it took.
func (s *Schedule) Idle(factor time.Duration) time.Time { return s.ended.Add(factor * s.cost) }

// WantAfter is Want, but the full sync is not due before earliest.
func (s *Schedule) WantAfter(cause string, about *Peer, earliest, now time.Time) {
	if s.Running || s.Cause == cause && s.About == about {
		return
	}
	last := s.pausesOf(about)[cause]
	pause := last.Next(now)
	due := Latest(now, earliest)
	if !s.ended.IsZero() && cause != CauseVerification {
		due = Latest(due, Latest(s.ended.Add(FirstPause), last.Ended.Add(pause)))
	}
	if s.Cause == "" || due.Before(s.due) {
		s.Cause, s.About, s.due, s.pause = cause, about, due, pause
	}
}

// Postpone moves the wanted full sync to another time.
func (s *Schedule) Postpone(to time.Time) { s.due = to }

// Unwant notes that the difference between the tables that was a cause is gone.
func (s *Schedule) Unwant(cause string, about *Peer) {
	delete(about.Pauses, cause)
	if !s.Running && s.Cause == cause && s.About == about {
		s.Drop()
	}
}

// Drop forgets the full sync that is wanted, or was under way.
func (s *Schedule) Drop() { s.Set("") }

// Set replaces the cause by one that concerns no peer and has no pause.
func (s *Schedule) Set(cause string) { s.Cause, s.About, s.pause = cause, nil, 0 }

// Took notes how long the full sync took.
func (s *Schedule) Took(cost time.Duration) { s.cost = cost }

// Count notes that the full sync under way ends, for the pause before the next one of the same cause. lasting is that of
// Backoff.
func (s *Schedule) Count(lasting bool, now time.Time) {
	if s.pause > 0 {
		s.pausesOf(s.About)[s.Cause] = Backoff{Ended: now, Pause: s.pause, Lasting: lasting}
	}
}

// Finish notes that the full sync under way has ended, and drops its cause.
func (s *Schedule) Finish(now time.Time) {
	s.ended = now
	s.Drop()
}

// pausesOf returns the pauses of the causes that concern a peer, or of the others if about is nil.
func (s *Schedule) pausesOf(about *Peer) Pauses {
	of := &s.pauses
	if about != nil {
		of = &about.Pauses
	}
	if *of == nil {
		*of = make(Pauses)
	}
	return *of
}
