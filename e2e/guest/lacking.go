package guest

import (
	"fmt"
	"net/netip"
	"time"

	"joolctl/session"
)

// sessionKey identifies a session, with its mask. It has no pointers and no gaps, which makes maps fast.
type sessionKey struct {
	src6                   [16]byte
	src4, dst4             [4]byte
	port6, portMask, port4 uint16
	proto                  uint16
}

func keyOf(s *session.Session) sessionKey {
	return sessionKey{
		s.Src6.Addr().As16(), s.Src4.Addr().As4(), s.Dst4.Addr().As4(),
		s.Src6.Port(), s.Src4.Port(), s.Dst4.Port(), uint16(s.Proto),
	}
}

func (k sessionKey) String() string {
	return fmt.Sprintf("%v from %v to %v as %v", session.Proto(k.proto), netip.AddrPortFrom(netip.AddrFrom16(k.src6), k.port6),
		netip.AddrPortFrom(netip.AddrFrom4(k.dst4), k.port4), netip.AddrPortFrom(netip.AddrFrom4(k.src4), k.portMask))
}

// holding is how a module holds a session.
type holding struct {
	noted   int // in the table of this number
	state   session.State
	first   time.Time // the module holds the session since then; zero: since before the witness
	current time.Time // the module holds the session in this state, or one as far on, since then
}

// stage orders TCP states from the beginning of a connection to its end.
func stage(s session.State) int {
	switch s {
	case session.V6Init, session.V4Init:
		return 0
	case session.Established:
		return 1
	case session.V4FinRcv, session.V6FinRcv:
		return 2
	default:
		return 3
	}
}

// lacking counts the sessions that a host lacks, and has an example.
type lacking struct {
	missing, older int
	example        string
}

func (l lacking) any() bool { return l.missing+l.older > 0 }

func (l lacking) String() string {
	if !l.any() {
		return "lacks nothing"
	}
	return fmt.Sprintf("lacks %d sessions and holds %d in an older state, for example %s", l.missing, l.older, l.example)
}

// lackedBy counts the sessions that a host lacks and another host in its segment holds.
func (w *witness) lackedBy(h *watched, at time.Time) (l lacking) {
	lacks := make(map[sessionKey]bool)
	for _, other := range w.hosts {
		if other == h || other.segment != h.segment {
			continue
		}
		for key, theirs := range other.table {
			ours, ok := h.table[key]
			switch {
			case lacks[key]:
				continue
			case !ok && at.Sub(theirs.first) > reportDelay:
				l.missing++
			case ok && stage(ours.state) < stage(theirs.state) && at.Sub(theirs.current) > reportDelay:
				l.older++
			default:
				continue
			}
			lacks[key] = true
			if l.example == "" {
				l.example = fmt.Sprintf("%v, which %s holds as %v", key, other.namespace.name, theirs.state)
				if !theirs.current.IsZero() {
					l.example += fmt.Sprintf(" for %v", rounded(at.Sub(theirs.current)))
				}
				if ok {
					l.example += fmt.Sprintf(" and this host as %v", ours.state)
				}
			}
		}
	}
	return l
}
