package sim

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/joolnl"
	"joolctl/session"
)

// A script of events and the packets that have left after each.
type event struct {
	at   time.Duration
	do   string // packet, ack, or nothing
	want []int  // sessions of all packets so far
}

const ms = time.Millisecond

func run(t *testing.T, b *bench, events []event) {
	t.Helper()
	n := 0
	for i, e := range events {
		b.at(e.at)
		switch e.do {
		case "packet":
			n++
			b.Packet(opening(session.UDP, n))
		case "ack":
			b.Ack()
		}
		if diff := cmp.Diff(e.want, b.reports); diff != "" {
			t.Errorf("event %d, %s at %v: sessions of packets (-want +got):\n%s", i, e.do, e.at, diff)
		}
	}
}

func TestFlush(t *testing.T) {
	for name, c := range map[string]struct {
		version string
		change  func(*joolnl.Globals)
		events  []event
	}{
		"a quiet instance: the first session leaves inside its own packet, the next waits for the timer": {
			"4.1.15", nil, []event{
				{3000 * ms, "packet", []int{1}},
				{3010 * ms, "ack", []int{1}},
				{3020 * ms, "packet", []int{1}},
				{4001 * ms, "", []int{1}}, // the timer fires before the deadline
				{5990 * ms, "", []int{1}},
				{6001 * ms, "", []int{1, 1}},
			}},
		"the deadline passes without an ACK": {
			"4.1.15", nil, []event{
				{3000 * ms, "packet", []int{1}},
				{3010 * ms, "packet", []int{1}},
				{5100 * ms, "packet", []int{1, 2}},
			}},
		"a short deadline and a trailing ACK": {
			"4.1.15", func(g *joolnl.Globals) { g.SSFlushDeadline = 4 * ms }, []event{
				{3000 * ms, "packet", []int{1}},
				{3001 * ms, "ack", []int{1}},
				{3002 * ms, "packet", []int{1}},
				{3004 * ms, "ack", []int{1}}, // the comparison is strict
				{3008 * ms, "ack", []int{1, 1}},
			}},
		"a deadline that never passes": {
			"4.1.15", func(g *joolnl.Globals) { g.SSFlushDeadline = 1 << 31 * ms }, []event{
				{10 * time.Second, "packet", nil},
				{time.Hour, "", nil},
			}},
		"full packets, one for each ACK": {
			"4.1.15", func(g *joolnl.Globals) { g.SSMaxSessions = 2 }, []event{
				{100 * ms, "packet", nil},
				{100 * ms, "packet", []int{2}},
				{100 * ms, "packet", []int{2}},
				{100 * ms, "packet", []int{2}}, // no ACK yet
				{100 * ms, "packet", []int{2}},
				{100 * ms, "packet", []int{2}},
				{101 * ms, "ack", []int{2, 2}},
				{101 * ms, "ack", []int{2, 2, 2}},
				{101 * ms, "ack", []int{2, 2, 2}},
			}},
		"an ACK out of turn finds no full packet": {
			"4.1.15", nil, []event{
				{100 * ms, "packet", nil}, {101 * ms, "ack", nil}, {1999 * ms, "packet", nil}, {2000 * ms, "", nil}, {2005 * ms, "packet", []int{3}},
			}},
		"flush-asap until 4.1.12": {
			"4.1.12", nil, []event{
				{100 * ms, "packet", []int{1}},
				{100 * ms, "packet", []int{1}},
				{100 * ms, "packet", []int{1}},
				{101 * ms, "ack", []int{1, 2}},
			}},
		"4.1.11: ten sessions a packet": {
			"4.1.11", func(g *joolnl.Globals) { g.SSFlushASAP, g.SSMaxSessions = false, 3 }, []event{
				{100 * ms, "packet", nil}, {100 * ms, "packet", nil}, {100 * ms, "packet", []int{3}},
			}},
		"4.1.9 loses what does not fit the pending packet": {
			"4.1.9", func(g *joolnl.Globals) { g.SSMaxPayload = 420 }, []event{
				{100 * ms, "packet", []int{1}},
				{100 * ms, "packet", []int{1}},
				{100 * ms, "packet", []int{1}},
				{100 * ms, "packet", []int{1}},
				{100 * ms, "packet", []int{1}}, // the fourth that waits
				{101 * ms, "ack", []int{1, 3}},
				{102 * ms, "ack", []int{1, 3}},
			}},
	} {
		t.Run(name, func(t *testing.T) { run(t, newBench(t, c.version, c.change), c.events) })
	}
}

func TestFlushRefreshes(t *testing.T) {
	b := newBench(t, "4.1.15", func(g *joolnl.Globals) { g.SSMaxSessions = 3 })
	for range 3 {
		b.Packet(opening(session.UDP, 1))
	}
	if diff := cmp.Diff([]int{3}, b.reports); diff != "" {
		t.Errorf("a report for every packet (-want +got):\n%s", diff)
	}
}

func TestTooManySessionsAPacket(t *testing.T) {
	b := newBench(t, "4.1.15", func(g *joolnl.Globals) { g.SSMaxSessions = 42 })
	for n := range 42 {
		b.open(session.UDP, n)
	}
	if len(b.reports) > 0 || len(b.queue.reports) > 0 {
		t.Errorf("%v left, %d wait: a packet of 42 sessions is lost", b.reports, len(b.queue.reports))
	}
}

func TestNobodyListens(t *testing.T) {
	b := newBench(t, "4.1.15", nil)
	b.Report = nil
	b.at(3*time.Second).open(session.UDP, 1)
	if s, _ := b.Stats(); s.Get(joolnl.StatSessionsSent) != 1 {
		t.Error("a session that nobody heard was not counted as sent")
	}
}

func TestCapacity(t *testing.T) {
	for _, c := range []struct {
		version        string
		capacity       uint32
		burst          int
		queued, lost   int
		counted, known bool
	}{
		{"4.1.15", 512, 40, 40 - 36, 0, true, true},
		{"4.1.15", 8, 50, 8, 42, true, true},
		{"4.1.13", 8, 50, 8, 42, true, true},
		{"4.1.12", 8, 50, 8, 41, true, true},
		{"4.1.11", 8, 50, 8, 41, false, false},
		{"4.1.10", 8, 50, 10, 39, false, false},
		{"4.1.9", 512, 50, 10, 39, false, false},
	} {
		t.Run(c.version, func(t *testing.T) {
			b := newBench(t, c.version, func(g *joolnl.Globals) { g.SSCapacity = c.capacity })
			for n := range c.burst {
				b.open(session.UDP, n)
			}
			if got := len(b.queue.reports); got != c.queued {
				t.Errorf("%d reports wait, want %d", got, c.queued)
			}
			s, _ := b.Stats()
			if got := s.Has(joolnl.StatSessionsDropped); got != c.known {
				t.Errorf("a counter of drops: %v, want %v", got, c.known)
			}
			if got := int(s.Get(joolnl.StatSessionsDropped)); c.counted && got != c.lost || !c.counted && got != 0 {
				t.Errorf("%d drops counted, want %d if counted: %v", got, c.lost, c.counted)
			}
			lost := 0
			for _, s := range b.byID {
				if !s.lost.since.IsZero() {
					lost++
					if s.lost.counted != c.counted {
						t.Errorf("a loss is counted: %v, want %v", s.lost.counted, c.counted)
					}
				}
			}
			if lost != c.lost {
				t.Errorf("%d sessions' reports were lost, want %d", lost, c.lost)
			}
		})
	}
}

func TestLaterReportMakesUpForLoss(t *testing.T) {
	b := newBench(t, "4.1.15", func(g *joolnl.Globals) { g.SSCapacity = 0 })
	b.at(time.Second).open(session.UDP, 1)
	if b.byID[0].lost.since != Epoch.Add(time.Second) {
		t.Fatalf("lost since %v", b.byID[0].lost.since)
	}
	b.Globals.SSCapacity = 1
	b.at(3 * time.Second).Packet(opening(session.UDP, 1))
	if s := b.byID[0]; !s.lost.since.IsZero() || s.reported.first != Epoch.Add(3*time.Second) {
		t.Errorf("after a report has left: lost since %v, known since %v", s.lost.since, s.reported.first)
	}
}

func TestTimeLeftOfReports(t *testing.T) {
	for v, want := range map[string]time.Duration{
		"4.1.15": 5*time.Minute - 2*time.Second, // as of the moment when the packet leaves
		"4.1.9":  5 * time.Minute,               // as of the moment when the pending packet was written
	} {
		b := newBench(t, v, func(g *joolnl.Globals) { g.SSFlushASAP = false })
		b.at(100*ms).open(session.UDP, 1)
		b.at(2100*ms).open(session.UDP, 2)
		if len(b.bytes) != 1 {
			t.Fatalf("%s: %d packets left, want 1", v, len(b.bytes))
		}
		r := b.Version().Format().Record(b.bytes[0])
		if got := show(r).Left; got != want {
			t.Errorf("%s: the first session has %v left, want %v", v, got, want)
		}
	}
}

func TestAdvertise(t *testing.T) {
	b := newBench(t, "4.1.15", func(g *joolnl.Globals) { g.SSMaxSessions, g.SSCapacity = 2, 2 })
	for n := range 5 {
		b.open(session.UDP, n)
	}
	b.reports = nil
	b.Ack() // one of the two that wait has room
	if err := b.Advertise(); err != nil {
		t.Fatal(err)
	}
	if err := b.Advertise(); err != ErrBusy {
		t.Errorf("a second advertisement: error %v, want %v", err, ErrBusy)
	}
	for range 4 {
		b.Ack()
	}
	if diff := cmp.Diff([]int{2, 2, 2, 1}, b.reports); diff != "" {
		t.Errorf("sessions of packets (-want +got):\n%s", diff)
	}
	old := newBench(t, "4.1.9", nil)
	old.open(session.UDP, 1)
	if err := old.Advertise(); err != nil || len(old.queue.reports) != 0 {
		t.Errorf("4.1.9 advertised %d sessions, error %v", len(old.queue.reports), err)
	}
}

func TestCounters(t *testing.T) {
	for v, want := range map[string]struct{ all, flushASAP bool }{
		"4.1.9": {}, "4.1.11": {}, "4.1.12": {true, true}, "4.1.13": {true, false}, "4.1.15": {true, false}, "4.1.255.5": {true, false},
	} {
		s, err := newBench(t, v, nil).Stats()
		if err != nil {
			t.Fatal(err)
		}
		got := struct{ all, flushASAP bool }{s.Has(joolnl.StatAcks), s.Has(joolnl.StatFlushASAP)}
		if got != want || !s.Has(joolnl.StatSessions) {
			t.Errorf("%s has counters %+v, want %+v", v, got, want)
		}
	}
	b := newBench(t, "4.1.15", func(g *joolnl.Globals) { g.SSMaxSessions = 2 })
	for n := range 3 {
		b.open(session.UDP, n)
	}
	b.Ack()
	_ = b.Add(entries(t, session.Packed40, made(session.UDP, 9, "198.51.100.1:9", 0, 0, time.Minute)))
	s, _ := b.Stats()
	got := map[string]uint64{}
	for name, n := range s.Named() {
		if n > 0 {
			got[name] = n
		}
	}
	if diff := cmp.Diff(map[string]uint64{
		"JSTAT_RECEIVED6": 3, "JSTAT_SUCCESS": 3, "JSTAT_BIB_ENTRIES": 4, "JSTAT_SESSIONS": 4,
		"JSTAT_JOOLD_QUEUING": 2, "JSTAT_JOOLD_PKT_FULL": 1, "JSTAT_JOOLD_MISSING_ACK": 1,
		"JSTAT_JOOLD_SSS_QUEUED": 3, "JSTAT_JOOLD_SSS_SENT": 2, "JSTAT_JOOLD_PKT_SENT": 1, "JSTAT_JOOLD_ACKS": 1,
		"JSTAT_JOOLD_SSS_RCVD": 1, "JSTAT_JOOLD_PKT_RCVD": 1,
	}, got); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}
