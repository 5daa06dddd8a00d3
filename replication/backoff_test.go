package replication

import (
	"slices"
	"testing"
	"time"
)

// TestBackoff repeats a reason some time after each full sync.
func TestBackoff(t *testing.T) {
	for _, c := range []struct {
		name    string
		after   time.Duration
		lasting bool
		want    []time.Duration
	}{
		{"at once", 0, false, []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300}},
		{"soon, and the full sync stores something", 6 * time.Second, false, []time.Duration{1, 1, 1, 1}},
		{"soon, and it stores nothing", 6 * time.Second, true, []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300}},
		{"late", time.Hour, true, []time.Duration{1, 1, 1, 1}},
	} {
		now := time.Unix(1_000_000, 0)
		var b Backoff
		var got []time.Duration
		for range c.want {
			before := b.Next(now)
			got = append(got, before/time.Second)
			if due := b.Ended.Add(before); due.After(now) {
				now = due
			}
			b = Backoff{Ended: now, Pause: before, Lasting: c.lasting}
			now = now.Add(c.after)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: pauses of %d s, want %d", c.name, got, c.want)
		}
	}
}
