package sim

import (
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// stream returns the random numbers of one purpose. Each purpose has its own stream, so that a simulation with fewer
// faults differs only where the missing faults matter.
func stream(seed uint64, purpose string, numbers ...int) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(purpose))
	for _, n := range numbers {
		h.Write([]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)})
	}
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// Span is a range of durations, both ends included.
type Span struct{ Min, Max time.Duration }

// draw returns a duration of the span.
func (s Span) draw(r *rand.Rand) time.Duration {
	if s.Max <= s.Min {
		return s.Min
	}
	return s.Min + time.Duration(r.Int64N(int64(s.Max-s.Min)+1))
}
