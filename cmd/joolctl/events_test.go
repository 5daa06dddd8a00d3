package main

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"joolctl/eventlog"
	"joolctl/internal/await"
	"joolctl/replication"
)

// sampleEvent returns an event with every field.
func sampleEvent() eventlog.Event {
	return eventlog.Event{
		Number: 1764500000000001, Time: now, Pair: "p1", Kind: eventlog.Verdict, Severity: eventlog.Warning, Setting: "ss-capacity", From: "yes", To: "no", Peer: "2001:db8::2",
		Reasons:  []replication.Reason{{Code: replication.DatagramsMissing, Peer: "2001:db8::2", Datagrams: 3, Since: now, Text: "peer 2001:db8::2: 3 live datagrams are missing"}},
		FullSync: &eventlog.Result{Received: 40000, Injected: 990, Collided: 10, Returned: 1, Seconds: 1.235},
		Losses:   map[string]uint64{"network_lost_datagrams": 3},
		Text:     "yes → no: peer 2001:db8::2: 3 live datagrams are missing",
	}
}

// TestEvents prints events as text and as JSON.
func TestEvents(t *testing.T) {
	_, socket := supervised(t, map[string]string{"a": "i", "b": "absent"})
	run := func(args string) (lines []string) {
		t.Helper()
		code, stdout, stderr := ran(append(strings.Fields("events "+args), "--socket", socket)...)
		if code != 0 || stderr != "" {
			t.Errorf("joolctl events %s: code %d, %s", args, code, stderr)
		}
		return strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	}
	all := run("")
	if len(all) < 4 {
		t.Errorf("%d events: %q", len(all), all)
	}
	a := run("a")
	if last := a[len(a)-1]; !strings.Contains(last, "  a  state             running") {
		t.Errorf("a: %q", a)
	}
	if latest := run("-n 1 b"); len(latest) != 1 || !strings.Contains(latest[0], "  b  state             waiting: ") {
		t.Errorf("the latest event: %q", latest)
	}
	var e eventlog.Event
	if err := json.Unmarshal([]byte(run("a -n 1 -o json")[0]), &e); err != nil || e.Pair != "a" || e.To != "running" || e.Number == 0 {
		t.Errorf("%v: %+v", err, e)
	}
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"events nobody", 1, `there is no pair "nobody"; known are: a, b`},
		{"events -o yaml", 2, `there is no output "yaml"; write text or json`},
		{"events -n -1", 2, "-n -1: write 0 or more events"},
	} {
		if code, _, stderr := ran(append(strings.Fields(c.args), "--socket", socket)...); code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("joolctl %s: code %d, %q, want %d, %q", c.args, code, stderr, c.code, c.want)
		}
	}
	if code, _, stderr := ran("events", "--socket", filepath.Join(t.TempDir(), "none")); code != 3 || !strings.Contains(stderr, "no supervisor answers") {
		t.Errorf("without a supervisor: code %d, %q", code, stderr)
	}
}

// buffer may be written and read concurrently.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// TestFollowEvents checks that new events are printed, also those of a supervisor that starts again.
func TestFollowEvents(t *testing.T) {
	dir, socket := supervised(t, map[string]string{"a": "i"})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var stdout, stderr buffer
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"events", "-f", "-n", "0", "-o", "json", "--socket", socket}, &stdout, &stderr)
	}()
	await.Within(t, 20*time.Second, "an event is shown", func() bool { // the command may start after the first restart
		if code, _, said := ran("restart", "a", "--socket", socket); code != 0 {
			t.Fatal(said)
		}
		return strings.Contains(stdout.String(), `"to":"running"`)
	})
	if code, _, said := ran("down", "--socket", socket); code != 0 {
		t.Fatal(said)
	}
	await.Within(t, 20*time.Second, "the end of the supervisor is shown", func() bool {
		return strings.Contains(stderr.String(), "waiting for the next supervisor")
	})
	writePair(t, dir, "fresh", "i2")
	supervise(t, dir, socket)
	await.Within(t, 20*time.Second, "the events of the next supervisor are shown", func() bool {
		return strings.Contains(stdout.String(), `"pair":"fresh","event":"state","severity":"info","from":"waiting","to":"running"`)
	})
	cancel()
	if c := <-code; c != 0 {
		t.Errorf("ended with %d: %s", c, stderr.String())
	}
	last := uint64(0)
	for line := range strings.Lines(stdout.String()) {
		var e eventlog.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Number <= last {
			t.Errorf("after number %d, %v: %s", last, err, line)
		}
		last = e.Number
	}
}
