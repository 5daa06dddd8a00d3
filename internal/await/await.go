// Package await lets tests wait for what other goroutines, processes or the kernel do, where nothing tells when it is done.
package await

import (
	"testing"
	"time"
)

// Within waits until a condition holds, and looks every millisecond. It ends the test if the condition does not hold within limit.
func Within(t testing.TB, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.After(limit); !holds(); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}
