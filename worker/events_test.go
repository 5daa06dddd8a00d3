package worker

import (
	"slices"
	"testing"

	"joolctl/eventlog"
)

// TestEvents: a host that gets a peer's table has events of the full sync and of its verdict, in this order.
func TestEvents(t *testing.T) {
	names := lan(t, 2)
	a := newStandby(t, jool4115, names[0], sessionsAt(0, 50)...).start()
	b := newStandby(t, jool4115, names[1]).start()
	_ = a
	b.synced()
	kind := func(k eventlog.Kind) (eventlog.Event, int) {
		events, _, _ := b.events.After(0, nil)
		i := slices.IndexFunc(events, func(e eventlog.Event) bool { return e.Kind == k && e.To != "no" })
		if i < 0 {
			return eventlog.Event{}, i
		}
		return events[i], i
	}
	eventually(t, "the verdict is an event", func() bool { _, i := kind(eventlog.Verdict); return i >= 0 })
	_, began := kind(eventlog.FullSyncBegan)
	ended, end := kind(eventlog.FullSyncEnded)
	verdict, last := kind(eventlog.Verdict)
	if began < 0 || end < began || last < end {
		events, _, _ := b.events.After(0, nil)
		t.Fatalf("the events are out of order: %+v", events)
	}
	if r := ended.FullSync; r == nil || r.Received != 50 || r.Injected != 50 || ended.Peer != "fd64::1" || ended.Pair != "pair" {
		t.Errorf("the end of the full sync: %+v, %+v", ended, r)
	}
	if verdict.To != "yes" || verdict.From == "yes" || verdict.Severity != eventlog.Info {
		t.Errorf("the verdict: %+v", verdict)
	}
}
