package worker

import (
	"reflect"
	"sync/atomic"
	"testing"
)

// TestSavedCounters saves and restores the counters: each has a name of its own, and none is left out.
func TestSavedCounters(t *testing.T) {
	var before, after Counters
	counters := 0
	for i, all := 0, reflect.TypeFor[Counters](); i < all.NumField(); i++ {
		if all.Field(i).Type == reflect.TypeFor[atomic.Uint64]() {
			counters++
		}
	}
	if n := len(before.saved()); n != counters {
		t.Errorf("%d names for %d counters", n, counters)
	}
	next := uint64(0)
	for _, n := range before.saved() {
		next++
		n.Store(next)
	}
	saved := before.Save()
	saved["of another version"] = 1
	after.Restore(saved)
	if before.Stats() != after.Stats() || before.Losses() != after.Losses() || before.Ledger() != after.Ledger() ||
		before.FullSyncs() != after.FullSyncs() {
		t.Errorf("restored %+v %+v %+v %+v\nof %+v %+v %+v %+v", after.Stats(), after.Losses(), after.Ledger(), after.FullSyncs(),
			before.Stats(), before.Losses(), before.Ledger(), before.FullSyncs())
	}
	seen := make(map[uint64]bool)
	for _, n := range after.saved() {
		seen[n.Load()] = true
	}
	if len(seen) != int(next) {
		t.Errorf("%d different counts restored of %d", len(seen), next)
	}
}
