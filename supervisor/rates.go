package supervisor

import (
	"math"
	"time"

	"joolctl/worker"
)

const (
	// sampleEvery is how often the supervisor samples the counters of all pairs. samplesKept is how many samples it
	// keeps of each pair. The comment of Rates states the resulting window.
	sampleEvery = 5 * time.Second
	samplesKept = 3
	// shortestWindow is the shortest time to compute a rate over.
	shortestWindow = time.Second
)

// sample has the counters that rates are computed from, at one moment.
type sample struct {
	at          time.Time
	given, sent uint64
}

func sampleOf(c *worker.Counters, now time.Time) sample {
	l := c.Ledger()
	return sample{now, l.Given, l.Sent}
}

// meter stores the latest samples of a pair's counters, newest last.
type meter struct {
	samples [samplesKept]sample
	n       int
}

// add adds a sample. If there is no room, it drops the oldest one.
func (m *meter) add(s sample) {
	if m.n == samplesKept {
		copy(m.samples[:], m.samples[1:])
		m.n--
	}
	m.samples[m.n] = s
	m.n++
}

// rates returns the rates between the oldest sample and a new one; nil: the two are less than shortestWindow apart.
func (m *meter) rates(s sample) *Rates {
	if m.n == 0 {
		return nil
	}
	oldest := m.samples[0]
	window := s.at.Sub(oldest.at)
	if window < shortestWindow {
		return nil
	}
	rate := func(from, to uint64) float64 {
		return math.Round(float64(to-from)/window.Seconds()*1000) / 1000
	}
	return &Rates{WindowSeconds: seconds(window), In: rate(oldest.given, s.given), Out: rate(oldest.sent, s.sent)}
}

// sampleAll samples the counters and the peers of all pairs.
func (s *Supervisor) sampleAll() {
	now := time.Now()
	for _, p := range s.pairs {
		p.meter.add(sampleOf(p.counters, now))
		s.watchLosses(p, now)
		s.watchPeers(p, now)
	}
}
