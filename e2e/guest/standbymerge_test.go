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
		const each = 300 * time.Microsecond // 60 s for two times 100,000
		atMost(t, "the exchange", took, time.Duration(2*n)*each)
		return fmt.Sprintf("all %d on both after %s", 2*n, seconds(took))
	})
}
