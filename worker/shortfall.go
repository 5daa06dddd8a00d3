package worker

const (
	// shortfallEnough is how much has to speak for a shortfall that lasts, in a
	// row of HELLOs; shortfallClear is what a HELLO adds that leaves no doubt,
	// so that three are enough, and shortfallFaint what another adds.
	shortfallEnough = 21
	shortfallClear  = 7
	shortfallFaint  = 1
)

// shortfall notices from a peer's HELLOs that its table stays larger than ours.
// The kernel may lose sessions without a trace; only the tables tell.
type shortfall struct {
	evidence int
	ours     int // at the HELLO before
}

// lasts takes the sessions that a peer had at the HELLO before, that it has, and
// that we have, and reports whether its table has been larger for so long that
// what is between can't be on its way any more.
func (s *shortfall) lasts(before, theirs uint32, ours int) bool {
	still := theirs == before && ours == s.ours
	s.ours = ours
	switch {
	case int64(theirs) <= int64(ours):
		s.evidence = 0
	case theirs > before:
		// What is between may be on its way.
		if theirs > before+before/100 {
			s.evidence = 0
		}
	case still, int64(theirs) > int64(ours)+int64(ours)/100:
		s.evidence += shortfallClear
	default:
		s.evidence += shortfallFaint
	}
	if s.evidence < shortfallEnough {
		return false
	}
	s.evidence = 0
	return true
}
