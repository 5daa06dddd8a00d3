package timerslack_test

import (
	"log/slog"

	"joolctl/timerslack"
)

// A program with several processors executes itself with a coarse timer slack; its threads in namespaces call Fine. The example has
// no output, so go test does not run it: the test would start again.
func ExampleCoarsen() {
	if !timerslack.Applies() {
		return
	}
	if err := timerslack.Coarsen(); err != nil {
		slog.Warn("the monitor thread wakes up more often", "error", err)
	}
}
