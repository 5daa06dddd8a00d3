package replication

import (
	"testing"
	"time"
)

// TestLookups bounds how many sessions of retransmissions are looked up in the module in a time.
func TestLookups(t *testing.T) {
	var l lookups
	now := time.Unix(1_000_000, 0)
	for range 3 {
		allowed := 0
		for range 10 * MaxLookups {
			if l.allow(now) {
				allowed++
			}
		}
		if allowed != MaxLookups {
			t.Errorf("%d lookups, want %d", allowed, MaxLookups)
		}
		now = now.Add(RetransmitWindow + 1)
	}
}
