// Package await lets tests wait for conditions that other goroutines, processes or the kernel bring about without a signal.
package await

import (
	"testing"
	"time"
)

// Within waits until a condition holds, and looks every millisecond. It ends the test if the condition does not hold within limit.
func Within(t testing.TB, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	Right(t, limit, what, func() string {
		if holds() {
			return ""
		}
		return "no"
	})
}

// Right waits until wrong returns "", and looks every millisecond. After limit, the test fails with the last problem.
func Right(t testing.TB, limit time.Duration, what string, wrong func() string) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.After(limit); ; {
		problem := wrong()
		if problem == "" {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("not within %v: %s: %s", limit, what, problem)
		}
	}
}
