package worker

import (
	"reflect"
	"testing"
)

// TestSavedCounters: every counter is saved, under a name of its own, and
// restored.
func TestSavedCounters(t *testing.T) {
	var before, after Counters
	if n, fields := len(before.saved()), reflect.TypeFor[Counters]().NumField(); n != fields {
		t.Errorf("%d names for %d counters", n, fields)
	}
	next := uint64(0)
	for _, n := range before.saved() {
		next++
		n.Store(next)
	}
	saved := before.Save()
	saved["of another version"] = 1
	after.Restore(saved)
	if before.Stats() != after.Stats() || before.Losses() != after.Losses() || before.Ledger() != after.Ledger() {
		t.Errorf("restored %+v %+v %+v\nof %+v %+v %+v", after.Stats(), after.Losses(), after.Ledger(),
			before.Stats(), before.Losses(), before.Ledger())
	}
	seen := make(map[uint64]bool)
	for _, n := range after.saved() {
		seen[n.Load()] = true
	}
	if len(seen) != int(next) {
		t.Errorf("%d different counts restored of %d", len(seen), next)
	}
}
