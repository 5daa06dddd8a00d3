package guest

import (
	"testing"
	"time"

	"joolctl/session"
)

// lag looks how far K's table is behind J's.
type lag struct {
	top      *topology
	since    map[string]time.Time // when a session was first seen in J's
	greatest time.Duration        // of all looks
	samples  int
}

// sample reads both tables once. It returns the greatest difference of a session's time left; for a session that K
// lacks, this is the time for which it has been in J's table. The time of reading the tables is included.
func (l *lag) sample(t testing.TB) (behind time.Duration) {
	t.Helper()
	key := func(s session.Session) string { return s.Proto.String() + s.Src6.String() + s.Dst4.String() }
	began := time.Now()
	inK := make(map[string]time.Duration)
	for _, s := range l.top.k.sessions(t, "nat") {
		inK[key(s)] = s.Expires
	}
	inJ := l.top.j.sessions(t, "nat")
	reading := time.Since(began)
	for _, s := range inJ {
		seen, ok := l.since[key(s)]
		if !ok {
			seen = began
			l.since[key(s)] = began
		}
		left, ok := inK[key(s)]
		if !ok {
			behind = max(behind, time.Since(seen))
			continue
		}
		behind = max(behind, s.Expires-(left-reading))
	}
	l.greatest = max(l.greatest, behind)
	l.samples++
	return behind
}
