package guest

import (
	"fmt"
	"testing"
	"time"
)

// TestSoakSchedule runs outside of a machine.
func TestSoakSchedule(t *testing.T) {
	const minutes = 10
	schedule := func(seed uint64) [][]soakFault { return soakRounds(seed, minutes, soakFaults()) }
	if a, b := fmt.Sprint(schedule(1)), fmt.Sprint(schedule(1)); a != b {
		t.Errorf("one seed, two schedules:\n%s\n%s", a, b)
	}
	if fmt.Sprint(schedule(1)) == fmt.Sprint(schedule(2)) {
		t.Error("two seeds, one schedule")
	}
	seen := make(map[string]bool)
	for seed := range uint64(20) {
		rounds := schedule(seed)
		length := minutes * time.Minute / time.Duration(len(rounds))
		for _, faults := range rounds {
			until := make(map[string]time.Duration)
			for _, f := range faults {
				seen[f.name] = true
				if f.at+f.away > length {
					t.Errorf("seed %d: %v lasts longer than its round", seed, f)
				}
				if f.host && f.everyone && f.victim() == 0 {
					t.Errorf("seed %d: %v: the supervisor of host 0 is not to be ended", seed, f)
				}
				if active := activeHost(f.instance); f.hostJ == f.hostK || !f.either && f.hostJ != active {
					t.Errorf("seed %d: %v: hosts %d and %d, the active one is %d", seed, f, f.hostJ, f.hostK, active)
				}
				for _, lock := range f.locks() {
					if f.at < until[lock] {
						t.Errorf("seed %d: %v begins while another fault has %s", seed, f, lock)
					}
					until[lock] = f.at + f.away
				}
			}
		}
	}
	for _, f := range soakFaults() {
		if !seen[f.name] {
			t.Errorf("no schedule has %q", f.name)
		}
	}
}
