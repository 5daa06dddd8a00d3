package worker

import (
	"testing"
	"time"

	"joolctl/replication"
	"joolctl/session"
	"joolctl/syncwire"
)

// TestRepeatAfterFailover has a peer repeat a datagram after the own module has reported the session that is in it, or
// another one. The record that has been idle for less time wins.
func TestRepeatAfterFailover(t *testing.T) {
	syn := func(idleFor time.Duration) session.Record {
		return kind(sessionAt(0, 0), session.TCP, session.V6Init, session.TimerTransitory, idleFor)
	}
	established := func(idleFor time.Duration) session.Record {
		return kind(sessionAt(0, 0), session.TCP, session.Established, session.TimerEstablished, idleFor)
	}
	for _, c := range []struct {
		name string
		// reported is what the own module reports before the repeat comes.
		reported, repeated session.Record
		want               session.State
	}{
		{"the module's record is younger", established(0), syn(2 * time.Second), session.Established},
		{"the module's record is younger, and in an earlier state", syn(0), established(2 * time.Second), session.V6Init},
		{"the repeat is younger", syn(8 * time.Second), established(0), session.Established},
		{"the repeat is younger, and in an earlier state", established(8 * time.Second), syn(0), session.V6Init},
		{"the module has reported another session", sessionAt(400, 0), syn(2 * time.Second), session.V6Init},
	} {
		for _, during := range []string{"", ", during a resync"} {
			t.Run(c.name+during, func(t *testing.T) {
				t.Parallel()
				a, b := hosts(t)
				s := newScripted(t, a)
				h := newStandby(t, jool4115, b)
				h.start()
				to := s.asked(0)
				s.begin(to, 5, 0)
				s.end(5, 0)
				h.synced()
				s.live(sessionAt(40, 0))
				s.last++ // it is lost
				lost := s.last
				s.live(sessionAt(44, 0))
				for {
					if nack, _ := control[*syncwire.Nack](s.plain); nack.To == s.id && nack.Resync == 0 {
						break
					}
				}
				if during != "" {
					s.say(&syncwire.Begin{Resync: 6, Why: syncwire.WhyAdvertise, Settings: ttl})
					eventually(t, "it receives", func() bool { return h.Sync().Phase == collecting.String() })
				}
				h.report(c.reported)
				eventually(t, "the report is read", func() bool { return h.counters.Ledger().Reported == 1 })
				s.send(syncwire.Trailer{Kind: syncwire.Repeat, Sender: s.id, Seq: lost}.Append(packed(t, c.repeated)))
				marker := sessionAt(48, 0)
				s.live(marker)
				if during != "" {
					s.end(6, 0)
				}
				eventually(t, "what came behind the repeat is stored", func() bool {
					_, there := h.instance.Sessions.Get(marker.Key())
					return there
				})
				r, _ := h.instance.Sessions.Get(c.repeated.Key())
				if r.State() != c.want {
					t.Errorf("%v, want %v", r.State(), c.want)
				}
			})
		}
	}
}

// TestLookups bounds how many sessions of repeats the module is asked for in a time. A host whose module reports nothing
// does not ask.
func TestLookups(t *testing.T) {
	var l lookups
	now := time.Unix(1_000_000, 0)
	for range 3 {
		allowed := 0
		for range 10 * maxLookups {
			if l.allow(now) {
				allowed++
			}
		}
		if allowed != maxLookups {
			t.Errorf("%d lookups, want %d", allowed, maxLookups)
		}
		now = now.Add(replication.RetransmitWindow + 1)
	}
	drive(t, jool4115, func(d *driven) {
		now := time.Now()
		d.lookups = lookups{window: now, n: maxLookups}
		list := func() []byte { return packed(t, sessionAt(0, time.Second), sessionAt(4, 0), sessionAt(8, time.Minute)) }
		for _, c := range []struct {
			name     string
			reported time.Time
			left     int
		}{
			{"never", time.Time{}, 3},
			{"long ago", now.Add(-time.Hour), 3},
			{"after two of them, perhaps", now.Add(-reportLag - time.Second/2), 1},
			{"just now", now, 0},
		} {
			before, doubts := d.w.counters.Ledger().Ignored, d.knowledge.Doubts()
			d.reportedAt = c.reported
			if n := int(sessionsIn(d.withoutOlder(list(), now))); n != c.left {
				t.Errorf("the module has reported something %s: %d sessions are left, want %d", c.name, n, c.left)
			}
			out := uint64(3 - c.left)
			d.w.counters.receivedSessions.Add(out)
			if i, n := d.w.counters.Ledger().Ignored-before, uint64(d.knowledge.Doubts()-doubts); i != out || n != min(out, 1) {
				t.Errorf("the module has reported something %s: %d are ignored and the vector is forgotten %d times, want %d and once at most", c.name, i, n, out)
			}
		}
	})
}
