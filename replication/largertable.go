package replication

import "time"

const (
	// Each HELLO of a peer with a larger table adds to the evidence that sessions are missing here: largerTableClear if no
	// session can be on its way, else largerTableFaint. The evidence suffices at largerTableEnough.
	largerTableEnough = 21
	largerTableClear  = 7
	largerTableFaint  = 1
	// largerTableGone is how many HELLOs in a row show that the peer's table is not larger any more.
	largerTableGone = 3
	// largerTableWait is the least time from the first evidence to the last: the module keeps sessions that don't fill a
	// packet for up to 4 s, twice its default ss-flush-deadline, and counts them meanwhile.
	largerTableWait = 5 * time.Second
)

// LargerTable detects from a peer's HELLOs that the peer's table stays larger than the own one. The module may lose sessions
// without counting them, so that only the sizes of the tables show it.
type LargerTable struct {
	evidence int
	none     int         // HELLOs in a row in which the peer's table is not larger
	since    time.Time   // of the first evidence
	ours     int         // at the previous HELLO
	past     []tableSize // the peer's, newest last
}

// tableSize is how many sessions a peer had at a HELLO.
type tableSize struct {
	at       time.Time
	sessions uint32
}

// older returns how many sessions the peer had largerTableWait ago: its module has reported all of them since. It records
// how many the peer has now.
func (s *LargerTable) older(theirs uint32, now time.Time) (n uint32) {
	const most = 16 // a peer that answers HELLOs sends more than one a second
	if len(s.past) == most {
		s.past = append(s.past[:0], s.past[1:]...)
	}
	s.past = append(s.past, tableSize{now, theirs})
	for _, p := range s.past {
		if now.Sub(p.at) >= largerTableWait {
			n = p.sessions
		}
	}
	return n
}

// Lasts compares table sizes, in sessions, at a peer's HELLO: before is the peer's at its previous HELLO, theirs the peer's
// now, ours the own one. It returns true if the peer's table has been larger for so long that the missing sessions can't be
// on their way any more, and then starts from no evidence again.
func (s *LargerTable) Lasts(before, theirs uint32, ours int, now time.Time) bool {
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
		// The sessions that the peer has more may be on their way, unless it had them long ago.
		switch {
		case theirs > before+before/100:
			s.evidence = 0
		case int64(old) > int64(ours)+int64(ours)/100:
			s.evidence += largerTableClear
		case int64(old) > int64(ours):
			s.evidence += largerTableFaint
		}
	case still, int64(theirs) > int64(ours)+int64(ours)/100:
		s.evidence += largerTableClear
	default:
		s.evidence += largerTableFaint
	}
	if s.evidence < largerTableEnough || now.Sub(s.since) < largerTableWait {
		return false
	}
	s.evidence = 0
	return true
}

// Gone reports whether the peer's table was not larger at several HELLOs in a row: a single one may be a coincidence.
func (s *LargerTable) Gone() bool { return s.none >= largerTableGone }
