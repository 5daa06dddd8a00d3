package worker

import (
	"testing"
	"time"

	"joolctl/packetio"
	"joolctl/replication"
	"joolctl/syncwire"
)

// returned waits for the BEGIN with which a worker sends sessions back to the sender of a full sync, and returns how many
// sessions it announces.
func (s *peer) returned() int {
	s.t.Helper()
	for {
		if b, _ := control[*syncwire.Begin](s); b.Why == syncwire.WhyReturn {
			return int(b.Sessions)
		}
	}
}

// TestReturnIsOwed sends the peer's table late, or before the worker has asked for it. The worker sends back the sessions that
// the peer lacks in both cases.
func TestReturnIsOwed(t *testing.T) {
	const n, lacks = 100, 3
	records := sessionsAt(0, n)
	whole := func(s *peer) {
		for i := range bulksOf(n) {
			s.bulk(5, i, records)
		}
		s.end(5, n)
	}
	for _, c := range []struct {
		name string
		play func(s *peer, h *host)
	}{
		{"late, after the worker has given up", func(s *peer, h *host) {
			to := s.asked(n)
			eventually(s.t, "it gives up", func() bool { return h.log.count("no peer gave its session table") > 0 })
			s.begin(to, 5, n)
			whole(s)
		}},
		{"advertised to all hosts, then requested", func(s *peer, h *host) {
			s.asked(n)
			s.say(&syncwire.Begin{FullSync: 5, Why: syncwire.WhyAdvertise, Sessions: n, Settings: ttl})
			whole(s)
			s.begin(s.asked(n), 6, n)
			for i := range bulksOf(n) {
				s.bulk(6, i, records)
			}
			s.end(6, n)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bed := newTestbed(t, 2)
			s := bed.peer(0)
			h := bed.standby(1, sessionsAt(5000, lacks)...)
			h.start()
			c.play(s, h)
			if got := s.returned(); got != lacks {
				t.Errorf("%d sessions are sent back, want %d", got, lacks)
			}
		})
	}
}

// TestStall stops a worker's thread while datagrams arrive. The worker subtracts the time that they wait from the times
// left of their sessions.
func TestStall(t *testing.T) {
	const n, still = 100, replication.MinTolerance + 500*time.Millisecond
	records := sessionsAt(0, n)
	whole := func(s *peer) {
		for i := range bulksOf(n) {
			s.bulk(5, i, records)
		}
		s.end(5, n)
	}
	had := func(t *testing.T, h *host, why string) {
		eventually(t, "the full sync has ended", func() bool { l := h.Sync().Last; return l != nil && l.Why == why })
		if r := *h.Sync().Last; r.Had != n || r.Injected != 0 {
			t.Errorf("%+v", r)
		}
	}
	for _, c := range []struct {
		name string
		// before sends messages while the thread runs, meanwhile while it is stopped.
		before, meanwhile func(s *peer, to syncwire.ID)
		see               func(t *testing.T, h *host)
	}{
		{"a full sync after BEGIN", func(s *peer, to syncwire.ID) {
			s.begin(to, 5, n)
			s.nacked(5) // the worker has read BEGIN
		}, func(s *peer, _ syncwire.ID) { whole(s) }, func(t *testing.T, h *host) { had(t, h, "start") }},
		{"an advertised table", func(s *peer, to syncwire.ID) {
			s.begin(to, 4, 0)
			s.end(4, 0)
		}, func(s *peer, _ syncwire.ID) {
			s.say(&syncwire.Begin{FullSync: 5, Why: syncwire.WhyAdvertise, Sessions: n, Settings: ttl})
			whole(s)
		}, func(t *testing.T, h *host) { had(t, h, replication.CauseAdvertised) }},
		{"a live datagram", func(s *peer, to syncwire.ID) {
			s.begin(to, 4, 0)
			s.end(4, 0)
		}, func(s *peer, _ syncwire.ID) { s.live(sessionAt(900, 0)) }, func(t *testing.T, h *host) {
			want := sessionAt(900, 0)
			eventually(t, "the session is stored", func() bool {
				for _, r := range h.instance.Sessions.Records() {
					if r.Key() == want.Key() {
						if young := int64(want.Expires()) - int64(r.Expires()); young < replication.MinTolerance.Milliseconds() {
							t.Fatalf("the stored session has been idle for %d ms, want at least %v", young, replication.MinTolerance)
						}
						return true
					}
				}
				return false
			})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bed := newTestbed(t, 2)
			s := bed.peer(0)
			h := bed.standby(1, records...)
			h.start()
			to := s.asked(n)
			c.before(s, to)
			if c.name != "a full sync after BEGIN" {
				h.synced()
			}
			stopped := make(chan struct{})
			h.onThread(func(p *pumps) {
				p.post(func() {
					close(stopped)
					time.Sleep(still)
				})
			})
			<-stopped
			c.meanwhile(s, to)
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
