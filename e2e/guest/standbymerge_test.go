package guest

import (
	"fmt"
	"testing"
	"time"
)

// merge has two hosts meet whose tables have n sessions each, of the same ages and none in common. The module keeps its
// sessions by age, and walks over all younger ones to the place of one that it is given.
func (b *standbyBench) merge(n int) {
	b.row(fmt.Sprintf("two hosts meet, with %d different sessions each, of similar ages", n), nil, func(t *testing.T, top *topology) string {
		pairJ, pairK := top.pairs(group6)
		top.j.fillFrom(t, "nat", 0, n)
		top.k.fillFrom(t, "nat", n, n)
		startWorker(t, supervised, top.j, pairJ)
		began := time.Now()
		startWorker(t, supervised, top.k, pairK)
		eventually(t, 4*time.Minute, "both have all", func() string {
			j, k := top.j.sessionCount(t, "nat"), top.k.sessionCount(t, "nat")
			if j < 2*n || k < 2*n {
				return fmt.Sprintf("%d and %d sessions", j, k)
			}
			return ""
		})
		took := time.Since(began)
		const each = 100 * time.Microsecond // 20 s for two times 100,000
		atMost(t, "the exchange", took, time.Duration(2*n)*each)
		younger, most := top.madeYounger(t, n)
		return fmt.Sprintf("all %d on both after %s; %d sessions stay for longer on the other host, by up to %s", 2*n, seconds(took), younger, seconds(most))
	})
}

// madeYounger compares the times left of sessions in J and K. J had the first n sessions alone, K the others. A session may stay for
// longer on the other host, but not for less. madeYounger returns how many stay for longer, and by how much at most.
func (top *topology) madeYounger(t *testing.T, n int) (sessions int, most time.Duration) {
	t.Helper()
	const tolerance = 2 * time.Second
	firstOfK := madeUpUDP(n, 0).Src6.Port()
	inJ := make(map[sessionKey]time.Duration)
	began := time.Now()
	for _, s := range top.j.sessions(t, "nat") {
		inJ[keyOf(&s)] = s.Expires
	}
	all := top.k.sessions(t, "nat")
	reading := time.Since(began)
	for _, s := range all {
		longer := s.Expires - inJ[keyOf(&s)]
		if s.Src6.Port() >= firstOfK {
			longer = -longer
		}
		if longer < -tolerance-reading {
			t.Fatalf("%v: K has %v left, J %v", s, s.Expires, inJ[keyOf(&s)])
		}
		if longer > tolerance+reading {
			sessions, most = sessions+1, max(most, longer)
		}
	}
	return sessions, most
}
