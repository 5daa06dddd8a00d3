package worker

import (
	"slices"
	"testing"
	"time"

	"joolctl/eventlog"
)

// TestEvents: a host that gets a peer's table has events of the full sync and of its verdict, in this order.
func TestEvents(t *testing.T) {
	bed := newTestbed(t, 2)
	a := bed.standby(0, sessionsAt(0, 50)...).start()
	b := bed.standby(1).start()
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

// TestEventLimit: many events of one kind at a time leave room for others.
func TestEventLimit(t *testing.T) {
	h := newHost(t, specFor("", group6))
	for range 3 * eventsAtOnce {
		h.event(eventlog.Event{Kind: eventlog.FullSyncFailed})
	}
	h.event(eventlog.Event{Kind: eventlog.Verdict})
	events, _, _ := h.events.After(0, nil)
	if len(events) != eventsAtOnce+1 || events[eventsAtOnce].Kind != eventlog.Verdict {
		t.Errorf("%d events are kept, want %d", len(events), eventsAtOnce+1)
	}
	h.limits[eventlog.FullSyncFailed].began = time.Time{} // long ago
	h.event(eventlog.Event{Kind: eventlog.FullSyncFailed, Text: "again"})
	events, _, _ = h.events.After(events[eventsAtOnce].Number, nil)
	if len(events) != 1 || events[0].Text != "again (20 events of this kind were left out before)" {
		t.Errorf("later: %+v", events)
	}
}

// TestRenamedLog: after a rename, events and log lines have the new name of the pair.
func TestRenamedLog(t *testing.T) {
	bed := newTestbed(t, 2)
	h := bed.host(1).start()
	h.Rename("green")
	bed.peer(0).send([]byte{1, 2, 3})
	eventually(t, "the log has the new name", func() bool {
		return h.log.count("dropped a malformed datagram") == 1 && h.log.count("pair=green") > 0
	})
	h.event(eventlog.Event{Kind: eventlog.Settings, Text: "renamed"})
	if events, _, _ := h.events.After(0, []string{"green"}); len(events) != 1 {
		t.Errorf("the new name has %d events", len(events))
	}
}
