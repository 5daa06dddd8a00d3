package seal

import "time"

const (
	// greetEvery is the time between two greetings.
	greetEvery = 10 * time.Second
	// greetSoon is the shortest time between two greetings. It doubles up to greetUnconfirmed while a peer is not confirmed, for
	// hurryFor after the last change.
	greetSoon        = 100 * time.Millisecond
	greetUnconfirmed = time.Second
	hurryFor         = 10 * time.Second
)

// schedule says when a host greets.
type schedule struct {
	greetedAt time.Time // when the last greeting was sent
	due       time.Time // when the next one is
	pause     time.Duration
	hurrying  time.Time // until when greetings are frequent
}

// hurry greets at once and, until the peers are confirmed, often.
func (s *schedule) hurry(now time.Time) {
	s.pause, s.hurrying = greetSoon, now.Add(hurryFor)
	s.greetBy(now)
}

// Hurry greets soon, because there may be other peers than before.
func (s *schedule) Hurry(now time.Time) { s.hurry(now) }

// greetBy greets at a time or earlier, but not sooner than greetSoon after the last greeting.
func (s *schedule) greetBy(at time.Time) {
	if earliest := s.greetedAt.Add(greetSoon); at.Before(earliest) {
		at = earliest
	}
	if s.due.IsZero() || at.Before(s.due) {
		s.due = at
	}
}

// sent notes that a greeting was sent.
func (s *schedule) sent(confirmed bool, now time.Time) {
	s.greetedAt, s.due = now, now.Add(greetEvery)
	if !confirmed && now.Before(s.hurrying) {
		s.due = now.Add(s.pause)
		s.pause = min(2*s.pause, greetUnconfirmed)
	}
}

// Due returns when to call Greet.
func (c *Channel) Due() time.Time { return c.due }

// Greet appends a sealed greeting to dst. The caller sends it to all peers when Due has passed, and may send one at any time.
func (c *Channel) Greet(dst []byte, now time.Time) []byte {
	c.turn(now)
	c.forget(now)
	var nextKey uint8
	var next Run
	if c.next != nil {
		nextKey, next = c.next.key, c.next.run
	}
	c.bytes = appendGreeting(c.bytes[:0], nextKey, next, c.heardRuns())
	c.sent(c.confirmed(), now)
	return c.seal(dst, c.bytes)
}
