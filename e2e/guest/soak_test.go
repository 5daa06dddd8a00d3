package guest

import (
	"flag"
	"testing"
	"time"
)

var (
	soakSeed    = flag.Uint64("soak.seed", 1, "what TestSoak derives its faults from")
	soakMinutes = flag.Int("soak.minutes", 1, "how many minutes of faults TestSoak has")
)

// TestSoak causes random faults in three hosts with five instances each, and compares their tables after each round.
func TestSoak(t *testing.T) {
	enter(t, "soak")
	t.Setenv(envPanics, t.TempDir())
	rounds := soakRounds(*soakSeed, *soakMinutes, soakFaults())
	t.Logf("seed %d, %d minutes, Jool %s, %d rounds", *soakSeed, *soakMinutes, module(t), len(rounds))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the same faults again: go run ./e2e/cmd/soak -seed %d -minutes %d -jool %s", *soakSeed, *soakMinutes, module(t))
		}
	})
	s := newSoak(t)
	s.began = time.Now()
	s.report = SoakReport{Seed: *soakSeed, Minutes: *soakMinutes, Jool: module(t).String()}
	for i, faults := range rounds {
		t.Logf("round %d: %d faults", i, len(faults))
		s.round(faults)
		s.compare()
	}
	s.judge()
	writeJSON(t, "/out/soak.json", s.report)
}
