package worker

import (
	"slices"
	"testing"
	"time"

	"joolctl/packetio"
	"joolctl/replication"
	"joolctl/replication/sim"
	"joolctl/syncwire"
)

// TestReturnIsOwed sends the peer's table late, or before the worker has asked for it. The worker sends back the sessions that
// the peer lacks in both cases.
func TestReturnIsOwed(t *testing.T) {
	const n, lacks = 100, 3
	records := sessionsAt(0, n)
	for _, c := range []struct {
		name string
		play func(s *peer, h *virtualHost)
	}{
		{"late, after the worker has given up", func(s *peer, h *virtualHost) {
			to := s.asked(n)
			h.v.until("it gives up", func() bool { return h.log.count("no peer gave its session table") > 0 })
			s.begin(to, 5, n)
			s.fullSync(5, records)
		}},
		{"advertised to all hosts, then requested", func(s *peer, h *virtualHost) {
			s.asked(n)
			s.say(&syncwire.Begin{FullSync: 5, Why: syncwire.WhyAdvertise, Sessions: n, Settings: ttl})
			s.fullSync(5, records)
			s.begin(s.asked(n), 6, n)
			s.fullSync(6, records)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, h := virtualPeer(t, sessionsAt(5000, lacks)...)
			c.play(s, h)
			b, _ := controlThat(s, func(b *syncwire.Begin) bool { return b.Why == syncwire.WhyReturn })
			if b.Sessions != lacks {
				t.Errorf("%d sessions are sent back, want %d", b.Sessions, lacks)
			}
		})
	}
}

// TestStall stops a worker's thread while datagrams arrive. The worker subtracts the time that they wait from the times
// left of their sessions.
func TestStall(t *testing.T) {
	const n, at, still = 100, time.Second, replication.MinTolerance + 500*time.Millisecond
	records := sessionsAt(0, n)
	older := slices.Clone(records) // as they are during the stall
	for i := range older {
		older[i].Age(at)
	}
	none := func(s *peer, to syncwire.ID) {
		s.begin(to, 4, 0)
		s.end(4, 0)
	}
	had := func(t *testing.T, h *virtualHost, why string) {
		h.v.until("the full sync has ended", func() bool { l := h.Sync().Last; return l != nil && l.Why == why })
		if r := *h.Sync().Last; r.Had != n || r.Injected != 0 {
			t.Errorf("%+v", r)
		}
	}
	for _, c := range []struct {
		name string
		// before sends messages while the thread runs, meanwhile while it is stopped.
		before, meanwhile func(s *peer, to syncwire.ID)
		see               func(t *testing.T, h *virtualHost)
	}{
		{"a full sync after BEGIN", func(s *peer, to syncwire.ID) { s.begin(to, 5, n) },
			func(s *peer, _ syncwire.ID) { s.fullSync(5, older) }, func(t *testing.T, h *virtualHost) { had(t, h, "start") }},
		{"an advertised table", none, func(s *peer, _ syncwire.ID) {
			s.say(&syncwire.Begin{FullSync: 5, Why: syncwire.WhyAdvertise, Sessions: n, Settings: ttl})
			s.fullSync(5, older)
		}, func(t *testing.T, h *virtualHost) { had(t, h, replication.CauseAdvertised) }},
		{"a live datagram", none, func(s *peer, _ syncwire.ID) { s.live(sessionAt(900, 0)) }, func(t *testing.T, h *virtualHost) {
			want := sessionAt(900, 0)
			h.v.until("the session is stored", func() bool { _, there := h.get(want); return there })
			r, _ := h.get(want)
			if young := int64(want.Expires()) - int64(r.Expires()); young < still.Milliseconds() {
				t.Errorf("the stored session has been idle for %d ms, want at least %v", young, still)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := newVirtual(t, tables(records), sim.Fault{Kind: sim.Stall, At: at, For: still})
			s, h := v.peer, v.hosts[0]
			c.before(s, s.asked(n))
			v.Run(at)
			c.meanwhile(s, 0)
			c.see(t, h)
		})
	}
}

// TestArrivedByAnotherClock computes how long a datagram has waited from its time stamp, also after the wall clock was set.
func TestArrivedByAnotherClock(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		stamp       time.Time
		stood, want time.Duration
	}{
		{time.Time{}, 0, 0},
		{time.Time{}, 9 * time.Second, 0}, // without a stamp: time stamps have just been switched on
		{now, 0, 0},
		{now.Add(-3 * time.Second), 0, 3 * time.Second}, // it waited behind many others
		{now.Add(-3 * time.Second), 9 * time.Second, 3 * time.Second},
		{now.Add(time.Hour), 0, 0},
		{now.Add(time.Hour), 9 * time.Second, 9 * time.Second},
		{now.Add(-time.Hour), 9 * time.Second, 9 * time.Second},
		{now.Add(-40 * time.Second), time.Minute, 40 * time.Second},
		{now.Add(-2 * time.Hour), time.Hour, time.Hour},
	} {
		if got := now.Sub(arrived(packetio.Datagram{Arrived: c.stamp.Round(0)}, now, c.stood)); got != c.want {
			t.Errorf("stamp %v, stall of %v: the datagram has waited %v, want %v", c.stamp.Sub(now), c.stood, got, c.want)
		}
	}
}
