package eventlog

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/replication"
)

var start = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// texts returns the texts of events.
func texts(events []Event) (texts []string) {
	for _, e := range events {
		texts = append(texts, e.Text)
	}
	return texts
}

func TestAfter(t *testing.T) {
	l := New(start)
	for i, pair := range []string{"a", "b", "a"} {
		l.Add(Event{Pair: pair, Text: fmt.Sprint(i)})
	}
	all, last, _ := l.After(0, nil)
	if diff := cmp.Diff([]string{"0", "1", "2"}, texts(all)); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
	if last != all[2].Number {
		t.Errorf("the last number is %d, want %d", last, all[2].Number)
	}
	for _, c := range []struct {
		after uint64
		pairs []string
		want  []string
	}{
		{0, []string{"a"}, []string{"0", "2"}},
		{0, []string{"a", "b"}, []string{"0", "1", "2"}},
		{0, []string{"c"}, nil},
		{all[0].Number, nil, []string{"1", "2"}},
		{all[0].Number, []string{"a"}, []string{"2"}},
		{last, nil, nil},
		{last + 1000, nil, nil},
	} {
		got, _, _ := l.After(c.after, c.pairs)
		if diff := cmp.Diff(c.want, texts(got)); diff != "" {
			t.Errorf("after %d of %v (-want +got):\n%s", c.after, c.pairs, diff)
		}
	}
	if !l.Knows("a") || l.Knows("c") {
		t.Error("the log knows the wrong pairs")
	}
}

// TestAdded: the channel is closed by the next event, and not before.
func TestAdded(t *testing.T) {
	l := New(start)
	_, _, added := l.After(0, nil)
	select {
	case <-added:
		t.Fatal("the channel is closed without an event")
	default:
	}
	l.Add(Event{})
	<-added
}

// TestRestart: a reader that has the last number of the process before gets all events of the next one.
func TestRestart(t *testing.T) {
	before := New(start)
	for range 10 {
		before.Add(Event{})
	}
	_, last, _ := before.After(0, nil)
	after := New(start.Add(time.Second))
	after.Add(Event{Text: "new"})
	got, _, _ := after.After(last, nil)
	if diff := cmp.Diff([]string{"new"}, texts(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestRoom: a pair that changes all the time removes its own events, and none of the others.
func TestRoom(t *testing.T) {
	l := New(start)
	for i := range 10 {
		l.Add(Event{Pair: "quiet", Text: fmt.Sprint(i)})
	}
	for i := range 3 * Room {
		l.Add(Event{Pair: "noisy", Text: fmt.Sprint(i)})
	}
	if quiet, _, _ := l.After(0, []string{"quiet"}); len(quiet) != 10 {
		t.Errorf("%d of 10 events of the quiet pair are left", len(quiet))
	}
	noisy, _, _ := l.After(0, []string{"noisy"})
	if len(noisy) != Room-10 || noisy[len(noisy)-1].Text != fmt.Sprint(3*Room-1) {
		t.Errorf("%d events of the noisy pair are left, the last is %q", len(noisy), noisy[len(noisy)-1].Text)
	}
}

// TestRoomOfManyPairs: pairs that are gone leave no counters behind.
func TestRoomOfManyPairs(t *testing.T) {
	l := New(start)
	for i := range 3 * Room {
		l.Add(Event{Pair: fmt.Sprint(i)})
	}
	all, _, _ := l.After(0, nil)
	if len(all) != Room || len(l.kept) != Room {
		t.Errorf("%d events of %d pairs, want %d", len(all), len(l.kept), Room)
	}
	if l.Knows("0") {
		t.Error("the log knows a pair without events")
	}
}

func TestNil(t *testing.T) {
	var l *Log
	l.Add(Event{})
	events, last, _ := l.After(7, nil)
	if len(events) > 0 || last != 7 || l.Knows("") {
		t.Errorf("a nil log has %v, %d", events, last)
	}
}

// TestTexts: the text of an event is one line, and bounded.
func TestTexts(t *testing.T) {
	reasons := []replication.Reason{{Text: "one"}, {Text: "two"}}
	for _, c := range []struct {
		event    Event
		severity Severity
		want     string
	}{
		{StateChanged("running", "waiting", "no\ninstance", Warning), Warning, "waiting: no instance"},
		{StateChanged("waiting", "running", "", Info), Info, "running"},
		{VerdictChanged("yes", "no", reasons), Warning, "yes → no: one; two"},
		{VerdictChanged("no", "alone", nil), Warning, "no → alone"},
		{VerdictChanged("no", "yes", nil), Info, "no → yes"},
		{SyncEnded(replication.SyncReport{From: "192.0.2.2", Got: 5, Injected: 4, Took: 1234567 * time.Microsecond}), Info,
			"full sync from 192.0.2.2: 5 sessions received, 4 given to the module, in 1.235s"},
		{LossesRose(map[string]uint64{"unsent_datagrams": 2, "kernel_dropped_sessions": 1}), Warning,
			"kernel dropped sessions +1, unsent datagrams +2"},
		{Event{Text: strings.Repeat("ä", maxText)}, "", strings.Repeat("ä", maxText/2) + "…"},
		{Event{Text: "x" + strings.Repeat("ä", maxText)}, "", "x" + strings.Repeat("ä", maxText/2-1) + "…"},
		{Event{Text: "bad \xff byte"}, "", "bad  byte"},
	} {
		l := New(start)
		l.Add(c.event)
		got, _, _ := l.After(0, nil)
		if got[0].Text != c.want || got[0].Severity != c.severity {
			t.Errorf("%s %q, want %s %q", got[0].Severity, got[0].Text, c.severity, c.want)
		}
		if got[0].Time.IsZero() {
			t.Error("the event has no time")
		}
	}
}
