package top

import (
	"time"

	"joolctl/supervisor"
)

// span is how long ago the oldest sample is that a sparkline shows.
const span = 4 * time.Minute

// sample has the rates of sessions between two answers of the supervisor.
type sample struct {
	from, to time.Time
	in, out  float64
}

// history has the samples of one pair, oldest first.
type history struct {
	at          time.Time // of the counters
	given, sent uint64
	samples     []sample
}

// add computes the rates since the last answer. A counter that decreased gives no sample: it is that of another supervisor.
func (h *history) add(row *supervisor.Row, at time.Time) {
	given, sent := row.Ledger.Given, row.Ledger.Sent
	if passed := at.Sub(h.at).Seconds(); !h.at.IsZero() && passed > 0 && given >= h.given && sent >= h.sent {
		h.samples = append(h.samples, sample{h.at, at, float64(given-h.given) / passed, float64(sent-h.sent) / passed})
	}
	h.at, h.given, h.sent = at, given, sent
	old := 0
	for old < len(h.samples) && at.Sub(h.samples[old].to) > span {
		old++
	}
	h.samples = h.samples[old:]
}

func in(s sample) float64  { return s.in }
func out(s sample) float64 { return s.out }

// bars divides the span into n equal parts and returns the highest rate in each; -1: there is none. Parts begin at fixed times, so
// that an old one does not change.
func (h *history) bars(n int, now time.Time, rate func(sample) float64) []float64 {
	part := span / time.Duration(n)
	begin := now.Truncate(part).Add(part - span)
	bars := make([]float64, n)
	for i := range bars {
		bars[i] = -1
	}
	for _, s := range h.samples {
		first, last := s.from.Sub(begin), s.to.Sub(begin)-1
		if last < 0 {
			continue
		}
		for i := max(first/part, 0); i <= min(last/part, time.Duration(n-1)); i++ {
			bars[i] = max(bars[i], rate(s))
		}
	}
	return bars
}
