package worker

import (
	"testing"
	"time"

	"joolctl/replication"
	"joolctl/session"
	"joolctl/syncwire"
)

// TestRetransmissionAfterFailover retransmits a peer's datagram after the host's own module has reported the same session, or another
// one. The record that has been idle for less time wins.
func TestRetransmissionAfterFailover(t *testing.T) {
	syn := func(idleFor time.Duration) session.Record {
		return kind(sessionAt(0, 0), session.TCP, session.V6Init, session.TimerTransitory, idleFor)
	}
	established := func(idleFor time.Duration) session.Record {
		return kind(sessionAt(0, 0), session.TCP, session.Established, session.TimerEstablished, idleFor)
	}
	for _, c := range []struct {
		name string
		// The own module reports reported before the peer retransmits repeated.
		reported, repeated session.Record
		want               session.State
	}{
		{"the module's record is younger", established(0), syn(2 * time.Second), session.Established},
		{"the module's record is younger, and in an earlier state", syn(0), established(2 * time.Second), session.V6Init},
		{"the retransmitted record is younger", syn(8 * time.Second), established(0), session.Established},
		{"the retransmitted record is younger, and in an earlier state", established(8 * time.Second), syn(0), session.V6Init},
		{"the module has reported another session", sessionAt(400, 0), syn(2 * time.Second), session.V6Init},
	} {
		for _, during := range []string{"", ", during a full sync"} {
			t.Run(c.name+during, func(t *testing.T) {
				s, h := virtualPeer(t)
				to := s.asked(0)
				s.begin(to, 5, 0)
				s.end(5, 0)
				h.synced()
				s.live(sessionAt(40, 0))
				s.last++ // this datagram is lost
				lost := s.last
				s.live(sessionAt(44, 0))
				controlThat(s, func(n *syncwire.Nack) bool { return n.To == s.id && n.FullSync == 0 })
				if during != "" {
					s.say(&syncwire.Begin{FullSync: 6, Why: syncwire.WhyAdvertise, Settings: ttl})
					h.v.until("it receives", func() bool { return h.Sync().Phase == replication.PhaseCollecting.String() })
				}
				h.report(c.reported)
				h.v.until("the report is read", func() bool { return h.counters().Ledger().Reported == 1 })
				s.send(syncwire.Trailer{Kind: syncwire.Retransmission, Sender: s.id, Seq: lost}.Append(packed(t, c.repeated)))
				marker := sessionAt(48, 0)
				s.live(marker)
				if during != "" {
					s.end(6, 0)
				}
				h.v.until("the datagram after the retransmission is stored", func() bool {
					_, there := h.get(marker)
					return there
				})
				r, _ := h.get(c.repeated)
				if r.State() != c.want {
					t.Errorf("%v, want %v", r.State(), c.want)
				}
			})
		}
	}
}
