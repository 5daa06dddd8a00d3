package worker

import "time"

const (
	// Each HELLO of a peer with a larger table adds to the evidence that sessions
	// are missing here: shortfallClear if no session can be on its way, else
	// shortfallFaint. The evidence suffices at shortfallEnough.
	shortfallEnough = 21
	shortfallClear  = 7
	shortfallFaint  = 1
	// shortfallGone is how many HELLOs in a row show that it is over.
	shortfallGone = 3
	// shortfallWait is how long it has to speak at least: the module keeps
	// sessions that don't fill a batch for up to 4 s, twice its
	// ss-flush-deadline, and counts them meanwhile.
	shortfallWait = 5 * time.Second
)

// shortfall notices from a peer's HELLOs that its table stays larger than ours.
// The kernel may lose sessions without a trace; only the tables tell.
type shortfall struct {
	evidence int
	none     int         // HELLOs in a row in which the peer's table is not larger
	since    time.Time   // of the first
	ours     int         // at the HELLO before
	past     []tableSize // the peer's, newest last
}

// tableSize is how many sessions a peer had at a HELLO.
type tableSize struct {
	at       time.Time
	sessions uint32
}

// older is how many sessions the peer had shortfallWait ago: all of them have been
// reported since. It takes note of how many it has now.
func (s *shortfall) older(theirs uint32, now time.Time) (n uint32) {
	const most = 16 // HELLOs that are answers come oftener than one a second
	if len(s.past) == most {
		s.past = append(s.past[:0], s.past[1:]...)
	}
	s.past = append(s.past, tableSize{now, theirs})
	for _, p := range s.past {
		if now.Sub(p.at) >= shortfallWait {
			n = p.sessions
		}
	}
	return n
}

// lasts compares table sizes at a peer's HELLO: before is the peer's at its previous
// HELLO, theirs the peer's now, ours this host's. It reports whether the peer's table
// has been larger for so long that the difference can't be on its way any more.
func (s *shortfall) lasts(before, theirs uint32, ours int, now time.Time) bool {
	if s.evidence == 0 {
		s.since = now
	}
	old := s.older(theirs, now)
	still := theirs == before && ours == s.ours
	s.ours = ours
	if int64(theirs) > int64(ours) {
		s.none = 0
	}
	switch {
	case int64(theirs) <= int64(ours):
		s.evidence = 0
		s.none++
	case theirs > before:
		// What is between may be on its way, unless it was there long ago.
		switch {
		case theirs > before+before/100:
			s.evidence = 0
		case int64(old) > int64(ours)+int64(ours)/100:
			s.evidence += shortfallClear
		case int64(old) > int64(ours):
			s.evidence += shortfallFaint
		}
	case still, int64(theirs) > int64(ours)+int64(ours)/100:
		s.evidence += shortfallClear
	default:
		s.evidence += shortfallFaint
	}
	if s.evidence < shortfallEnough || now.Sub(s.since) < shortfallWait {
		return false
	}
	s.evidence = 0
	return true
}

// gone reports whether the peer's table has not been larger for some HELLOs: a single one may be a coincidence.
func (s *shortfall) gone() bool { return s.none >= shortfallGone }
