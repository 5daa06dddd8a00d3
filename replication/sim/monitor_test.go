package sim

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/session"
)

func TestMonitor(t *testing.T) {
	mute := Fault{Kind: OneWay, At: 9 * time.Second, For: 2 * time.Second, Host: 0, Peer: 1}
	open := func(s *Simulation) { s.Nodes[0].Module.Packet(opening(session.TCP, 1)) }
	establish := func(s *Simulation) {
		open(s)
		r := s.Nodes[0].Module.Records()[0]
		s.Nodes[0].Module.Packet(Packet{session.TCP, SYN, client(1), web, true, r.Src4()})
	}
	opened := func(s *Simulation, before time.Duration) session.Record {
		r := s.Nodes[0].Module.Records()[0]
		return made(session.TCP, 1, r.Src4().String(), session.V6Init, session.TimerTransitory, 4*time.Minute-before)
	}
	answer := func(s *Simulation) Packet {
		return Packet{session.TCP, SYN, client(1), web, true, s.Nodes[0].Module.Records()[0].Src4()}
	}
	// back has host 2 store the opening of a connection a second after its answer, as of so much earlier.
	back := func(s *Simulation, earlier time.Duration) {
		establish(s)
		s.Run(11 * time.Second)
		_ = s.Nodes[2].Module.Add(entries(t, session.Packed40, opened(s, time.Second+earlier)))
	}
	type violation struct {
		At, Host int
		Rule     Rule
	}
	for name, c := range map[string]struct {
		faults []Fault
		bounds Bounds
		do     func(*Simulation) // at 10 s
		want   []violation
	}{
		"all is well": {bounds: DefaultBounds(), do: establish},
		"yes although a report was lost": {faults: []Fault{mute}, bounds: DefaultBounds(), do: open, want: []violation{
			{13, 1, RuleYes}, {20, 1, RuleSettled}}}, // 2 s after the end of the fault
		"a counted drop, revealed by a poll": {bounds: DefaultBounds(), do: func(s *Simulation) {
			s.Nodes[0].Module.Globals.SSCapacity = 0
			open(s)
		}, want: []violation{{18, 1, RuleYes}, {18, 2, RuleYes}, {20, 1, RuleSettled}, {20, 2, RuleSettled}}},
		"an uncounted loss, which verification finds": {
			bounds: Bounds{Yes: 2 * time.Second, Verify: 6 * time.Second},
			faults: []Fault{{Kind: SilentLoss, For: time.Minute, Amount: 1, Peer: 1}}, do: open,
			want: []violation{{19, 1, RuleYes}, {19, 2, RuleYes}, {20, 1, RuleSettled}, {20, 2, RuleSettled}}},
		"an uncounted loss that nothing finds": {
			bounds: DefaultBounds(), faults: []Fault{{Kind: SilentLoss, For: time.Minute, Amount: 1, Peer: 1}}, do: open},
		"a session moves back in state": {bounds: DefaultBounds(), do: func(s *Simulation) {
			back(s, 0)
		}, want: []violation{{14, 2, RuleYes}, {16, 2, RuleBack}, {20, 2, RuleSettled}}},
		"a session moves back in state, and nobody has reported more": {bounds: DefaultBounds(), do: func(s *Simulation) {
			open(s)
			s.Run(11 * time.Second)
			s.Nodes[2].Module.ReportLoss = 1
			s.Nodes[2].Module.Packet(answer(s))
			_ = s.Nodes[2].Module.Add(entries(t, session.Packed40, opened(s, time.Second)))
		}, want: []violation{{16, 2, RuleBack}}},
		"a session moves back in state for 4 s": {bounds: DefaultBounds(), do: func(s *Simulation) {
			back(s, 0)
			s.Run(15 * time.Second)
			_ = s.Nodes[2].Module.Add(entries(t, session.Packed40, s.Nodes[0].Module.Records()...))
		}, want: []violation{{14, 2, RuleYes}}},
		"a session moves back in state, and a packet follows": {bounds: Bounds{Yes: time.Minute, Healed: 5 * time.Second}, do: func(s *Simulation) {
			back(s, 0)
			s.Run(13 * time.Second)
			s.Nodes[2].Module.Packet(opening(session.TCP, 1))
		}},
		"a session moves back in state, and its host can't hear the others": {
			faults: []Fault{{Kind: Partition, At: 12 * time.Second, For: time.Minute, Sides: 4}}, bounds: DefaultBounds(), do: func(s *Simulation) {
				back(s, 0)
			}},
		"a session moves back in state, and the host that knew more dies": {
			faults: []Fault{{Kind: Kill, At: 12500 * ms, For: time.Minute, Host: 0, Peer: 1}}, bounds: Bounds{Yes: time.Minute, Healed: 5 * time.Second},
			do: func(s *Simulation) { back(s, 0) }},
		"a session moves back in time": {bounds: DefaultBounds(), do: func(s *Simulation) {
			back(s, 5*time.Second)
		}, want: []violation{{11, 2, RuleBack}, {14, 2, RuleYes}, {20, 2, RuleSettled}}},
		"a session gets more time left than its last packet gave it": {bounds: DefaultBounds(), do: func(s *Simulation) {
			establish(s)
			r := s.Nodes[0].Module.Records()[0]
			s.Run(13 * time.Second)
			_ = s.Nodes[2].Module.Add(entries(t, session.Packed40, r))
		}, want: []violation{{13, 2, RuleYoung}}},
		"a session that nobody opened": {bounds: DefaultBounds(), do: func(s *Simulation) {
			_ = s.Nodes[1].Module.Add(entries(t, session.Packed40, made(session.UDP, 9, "203.0.113.1:1", 0, 0, time.Minute)))
		}, want: []violation{{11, 1, RulePhantom}}},
		"bytes of another format": {bounds: DefaultBounds(), do: func(s *Simulation) {
			_ = s.Nodes[1].Module.Add(make([]byte, 40)) // an empty list
			_ = s.Nodes[1].Module.Add(entries(t, session.Nested, made(session.UDP, 9, "203.0.113.1:1", 0, 0, time.Minute)))
		}, want: []violation{{11, 1, RuleGarbage}}},
		"yes although no host is heard any more": {
			faults: []Fault{{Kind: Partition, At: 9 * time.Second, For: time.Minute, Sides: 4}}, bounds: Bounds{Yes: time.Minute, Alone: 5 * time.Second},
			do: func(*Simulation) {}, want: []violation{{13, 2, RuleAlone}}},
		"yes after a move to a group where no host is": {
			faults: []Fault{{Kind: Regroup, At: 12 * time.Second, For: time.Minute, Host: 2}}, bounds: Bounds{Yes: time.Minute},
			do: func(*Simulation) {}, want: []violation{{12, 2, RuleAlone}}},
		"too many datagrams": {
			bounds: Bounds{Yes: time.Second, Usage: Usage{Datagrams: 10}},
			do:     func(s *Simulation) { s.Nodes[2].env.Send([]byte("one more")) },
			want:   []violation{{20, 2, RuleUsage}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := claimers(t, "4.1.15", c.faults...)
			m := s.Monitor(100*ms, c.bounds)
			s.Run(10 * time.Second)
			c.do(s)
			s.Run(20 * time.Second)
			m.Settled()
			var got []violation
			for _, v := range m.Violations {
				got = append(got, violation{int(v.At.Round(time.Second) / time.Second), v.Host, v.Rule})
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("violations (-want +got):\n%s\n%v", diff, m.Violations)
			}
		})
	}
}

// syncer is a claimer that receives a full sync from 10 s to 11 s and says yes after it.
type syncer struct{ *claimer }

func newSyncer(e *Env) Replica { return &syncer{newClaimer(e).(*claimer)} }

func (c *syncer) Verdict(now time.Time) Verdict {
	if now.Before(Epoch.Add(11 * time.Second)) {
		return Verdict{}
	}
	return Verdict{Answer: Yes}
}

func (c *syncer) Phase() string {
	if now := c.env.node.clock.Now().Sub(Epoch); now >= 10*time.Second && now < 11*time.Second {
		return "receiving"
	}
	return "idle"
}

func TestEarlyYes(t *testing.T) {
	for name, c := range map[string]struct {
		opened time.Duration
		lost   float64
		want   bool
	}{
		"the full sync did not bring a session":        {6 * time.Second, 1, true},
		"the host has the session":                     {6 * time.Second, 0, false},
		"the session came just before the full sync":   {9500 * ms, 1, false},
		"the session came together with the full sync": {10500 * ms, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			config := small(t, 1, 2, "4.1.15")
			config.Traffic.Lanes = nil
			config.Hosts[0].Replica, config.Hosts[1].Replica = newClaimer, newSyncer
			s := New(config)
			m := s.Monitor(100*ms, Bounds{Yes: time.Minute, Receiving: "receiving"})
			s.Run(c.opened)
			s.Nodes[1].Module.NoMemory = c.lost
			s.Nodes[0].Module.Packet(opening(session.UDP, 1))
			s.Run(13 * time.Second)
			got := len(m.Violations) == 1 && m.Violations[0].Rule == RuleEarly && m.Violations[0].Host == 1
			if got != c.want || !got && len(m.Violations) > 0 {
				t.Errorf("violations: %v", m.Violations)
			}
		})
	}
}

func TestPhases(t *testing.T) {
	s := claimers(t, "4.1.15", Fault{Kind: Stall, At: time.Second, For: time.Second, Host: 1, Peer: 2}, Fault{Kind: Kill, At: 3 * time.Second, For: time.Second, Host: 1, Peer: 2})
	s.Run(5 * time.Second)
	got := []int{s.Coverage.Count(Stall, "idle"), s.Coverage.Count(Kill, "idle"), s.Coverage.Count(Loss, "idle")}
	if diff := cmp.Diff([]int{2, 3, 0}, got); diff != "" {
		t.Errorf("faults in phase idle (-want +got):\n%s", diff)
	}
}
