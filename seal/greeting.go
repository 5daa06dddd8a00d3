package seal

// KindGreeting is the first byte of a greeting's content. The content of other datagrams begins with another byte.
const KindGreeting = 0

// A greeting says which runs its sender has heard. Its content is
//
//	00 | key ID of the sender's next run 1 byte | next run 16 (zero: none) | number of runs 1 | runs 17 each
//
// where a run is a byte of flags and a run ID. Later versions may append fields.
type greeting struct {
	nextKey uint8
	next    Run
	runs    []byte // the runs as they are in the content
}

const (
	// maxNamed is how many runs a greeting names.
	maxNamed = 64
	// greetingLen is the length of a greeting's content without runs, and namedLen that of a run in it.
	greetingLen = 1 + 1 + RunLen + 1
	namedLen    = 1 + RunLen
	// flagAccepted says that the sender opens the datagrams of the run, flagKnown that the sender has heard the same of its own run.
	flagAccepted = 1
	flagKnown    = 2
)

// named is a run in a greeting.
type named struct {
	run             Run
	accepted, known bool
}

// appendGreeting appends a greeting that names at most maxNamed runs.
func appendGreeting(dst []byte, nextKey uint8, next Run, runs []named) []byte {
	dst = append(dst, KindGreeting, nextKey)
	dst = append(dst, next[:]...)
	dst = append(dst, byte(len(runs)))
	for _, r := range runs {
		flags := byte(0)
		if r.accepted {
			flags |= flagAccepted
		}
		if r.known {
			flags |= flagKnown
		}
		dst = append(append(dst, flags), r.run[:]...)
	}
	return dst
}

// parseGreeting reads a greeting. It points into b. ok is false if b is none.
func parseGreeting(b []byte) (g greeting, ok bool) {
	if len(b) < greetingLen || b[0] != KindGreeting {
		return g, false
	}
	end := greetingLen + int(b[greetingLen-1])*namedLen
	if end > greetingLen+maxNamed*namedLen || end > len(b) {
		return g, false
	}
	g.nextKey, g.runs = b[1], b[greetingLen:end]
	copy(g.next[:], b[2:])
	return g, true
}

// find returns what the greeting says of a run. ok is false if it does not name the run.
func (g *greeting) find(r *Run) (n named, ok bool) {
	for b := g.runs; len(b) > 0; b = b[namedLen:] {
		if Run(b[1:namedLen]) == *r {
			return named{*r, b[0]&flagAccepted != 0, b[0]&flagKnown != 0}, true
		}
	}
	return named{}, false
}
