package guest

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// burstSizes are how many sessions are opened at once.
type burstSizes struct{ burst, tiny int }

// tinyBuffer is a receive buffer with room for a few datagrams.
const tinyBuffer = 4096

// overrunWithin is how long a full socket may take to overrun.
const overrunWithin = time.Minute

// burstFaults open sessions at full rate. The module reports them by default's many at a time.
func burstFaults(sizes burstSizes) []fault {
	burst := func(t testing.TB, s *site, sessions int) {
		s.j.perReport(t, usualReport)
		s.floodNew(t, sessions)
	}
	return []fault{
		{
			name: fmt.Sprintf("burst of %d new sessions", sizes.burst), nobody: true,
			patience: 6, // a full sync brings the sessions that the module dropped, and newer ones follow after it
			breaks:   func(t testing.TB, s *site) { burst(t, s, sizes.burst) },
			repairs:  func(t testing.TB, s *site) { prompt(t, s.j) },
		},
		{
			name:  fmt.Sprintf("standby's receive buffer of %d bytes, and a burst of %d", tinyBuffer, sizes.tiny),
			short: time.Second, full: 5 * time.Second, nobody: true, onK: true,
			breaks: func(t testing.TB, s *site) {
				s.hostK.receiveBuffers(t, s.pairK, s.k, tinyBuffer)
				burst(t, s, sizes.tiny)
			},
			repairs: func(t testing.TB, s *site) {
				prompt(t, s.j)
				s.hostK.receiveBuffers(t, s.pairK, s.k, 0)
			},
		},
		{
			name:  fmt.Sprintf("netlink overrun (ENOBUFS): SIGSTOP with a receive buffer of %d bytes, and a burst of %d", tinyBuffer, sizes.tiny),
			short: time.Second, full: 5 * time.Second, nobody: true, overruns: true,
			// The module drops sessions, too. The full sync waits until it has dropped none for two seconds, and then up to one for
			// the other host, which may request one first.
			patience: 2,
			breaks: func(t testing.TB, s *site) {
				s.hostJ.receiveBuffers(t, s.pairJ, s.j, tinyBuffer)
				s.hostJ.signal(syscall.SIGSTOP)
				burst(t, s, sizes.tiny)
				// Without an ACK the module reports every few seconds.
				eventually(t, overrunWithin, "the netlink socket overruns", func() string {
					if s.j.netlinkDrops(t) == 0 {
						return "nothing is dropped"
					}
					return ""
				})
			},
			repairs: func(t testing.TB, s *site) {
				prompt(t, s.j)
				s.hostJ.signal(syscall.SIGCONT)
				s.hostJ.receiveBuffers(t, s.pairJ, s.j, 0)
			},
		},
	}
}
