package sim

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/session"
)

// claimer forwards as upstream's joold does, says yes, and sends a message each second.
type claimer struct {
	*Upstream
	next time.Time
}

func newClaimer(e *Env) Replica { return &claimer{Upstream: &Upstream{e}} }

func (c *claimer) Wake(now time.Time) time.Time {
	if !now.Before(c.next) {
		c.next = now.Add(time.Second)
		c.env.Send([]byte{0, 0, 1, 1, 0, 0, 0, byte(c.env.Host), 0, 0, 0, 1})
	}
	return c.next
}

func (c *claimer) Verdict(time.Time) Verdict { return Verdict{Answer: Yes} }
func (c *claimer) Phase() string             { return "idle" }

// claimers is a simulation of three claimers without traffic.
func claimers(t testing.TB, v string, faults ...Fault) *Simulation {
	c := small(t, 1, 3, v)
	c.Traffic.Lanes = nil
	c.Faults = faults
	for i := range c.Hosts {
		c.Hosts[i].Replica = newClaimer
	}
	return New(c)
}

// seconds returns a time since Epoch, rounded to seconds.
func seconds(t time.Time) int {
	if t.IsZero() {
		return -1
	}
	return int(t.Sub(Epoch).Round(time.Second) / time.Second)
}

// lack is the part of a Lack that tests compare.
type lack struct {
	Peer                     int
	Origin                   Origin
	Older, Conflict, Emptied bool
	Since, Known             int
}

func TestLacks(t *testing.T) {
	const at = 10 * time.Second
	mute := Fault{Kind: OneWay, At: at - 100*ms, For: 5 * time.Second, Host: 0, Peer: 1}
	packet := func(s *Simulation, p Packet) { s.Nodes[0].Module.Packet(p) }
	for name, c := range map[string]struct {
		version string
		faults  []Fault
		before  func(*Simulation) // at 5 s
		do      func(*Simulation) // at 10 s
		look    time.Duration
		want    []lack // of host 1
	}{
		"nothing is lost": {do: func(s *Simulation) { packet(s, opening(session.UDP, 1)) }, look: 11 * time.Second},
		"a report is lost on the link, and the peer is not live": {
			faults: []Fault{mute}, do: func(s *Simulation) { packet(s, opening(session.UDP, 1)) }, look: 14500 * ms,
			want: []lack{{Peer: 2, Origin: Stored, Since: 10, Known: 11}},
		},
		"the peer is heard again": {
			faults: []Fault{mute}, do: func(s *Simulation) { packet(s, opening(session.UDP, 1)) }, look: 17500 * ms,
			want: []lack{{Peer: 0, Origin: Reported, Since: 15, Known: 15}, {Peer: 2, Origin: Stored, Since: 10, Known: 11}},
		},
		"a report waits in the module": {
			do: func(s *Simulation) {
				s.Nodes[0].Module.Globals.SSFlushDeadline = time.Hour
				packet(s, opening(session.UDP, 1))
			}, look: 30 * time.Second,
		},
		"a report waits in the module, and a full sync brings the session to one host": {
			do: func(s *Simulation) {
				s.Nodes[0].Module.Globals.SSFlushDeadline = time.Hour
				packet(s, opening(session.UDP, 1))
				_ = s.Nodes[2].Module.Add(entries(t, session.Packed40, s.Nodes[0].Module.Records()[0]))
			}, look: 30 * time.Second,
		},
		"and then the report leaves": {
			do: func(s *Simulation) {
				s.Nodes[0].Module.Globals.SSFlushDeadline = time.Hour
				packet(s, opening(session.UDP, 1))
				_ = s.Nodes[2].Module.Add(entries(t, session.Packed40, s.Nodes[0].Module.Records()[0]))
				s.Run(12 * time.Second)
				s.Nodes[1].Module.NoMemory = 1
				s.Nodes[0].Module.Globals.SSFlushDeadline = 0
				s.Nodes[0].Module.Ack()
			}, look: 14500 * ms,
			want: []lack{{Origin: Reported, Since: 12, Known: 13}, {Peer: 2, Origin: Stored, Since: 12, Known: 13}},
		},
		"the module drops it, counted": {
			do: func(s *Simulation) {
				s.Nodes[0].Module.Globals.SSCapacity = 0
				packet(s, opening(session.UDP, 1))
			}, look: 12500 * ms, want: []lack{{Origin: Dropped, Since: 10, Known: 11}},
		},
		"the module drops it, uncounted": {
			version: "4.1.11",
			do: func(s *Simulation) {
				s.Nodes[0].Module.Globals.SSCapacity = 0
				packet(s, opening(session.UDP, 1))
			}, look: 12500 * ms, want: []lack{{Origin: Vanished, Since: 10, Known: 11}},
		},
		"the module loses it": {
			faults: []Fault{{Kind: SilentLoss, For: time.Minute, Amount: 1, Peer: 1}},
			do:     func(s *Simulation) { packet(s, opening(session.UDP, 1)) }, look: 12500 * ms,
			want: []lack{{Origin: Vanished, Since: 10, Known: 11}},
		},
		"the second report is lost": {
			faults: []Fault{{Kind: NoMemory, At: at - 100*ms, For: time.Minute, Host: 1, Peer: 0, Amount: 1}},
			before: func(s *Simulation) { packet(s, opening(session.TCP, 1)) },
			do: func(s *Simulation) {
				r := s.Nodes[0].Module.Records()[0]
				packet(s, Packet{session.TCP, SYN, client(1), web, true, r.Src4()})
			}, look: 12500 * ms,
			want: []lack{{Origin: Reported, Older: true, Since: 10, Known: 11}, {Peer: 2, Origin: Stored, Older: true, Since: 10, Known: 11}},
		},
		"a refresh within the tolerance is lost": {
			faults: []Fault{{Kind: NoMemory, At: at - 100*ms, For: time.Minute, Host: 1, Peer: 0, Amount: 1}},
			before: func(s *Simulation) { s.Run(7 * time.Second); packet(s, opening(session.UDP, 1)) },
			do:     func(s *Simulation) { packet(s, opening(session.UDP, 1)) }, look: 12500 * ms,
		},
		"the mask is another one's": {
			before: func(s *Simulation) {
				packet(s, opening(session.UDP, 1))
				r := s.Nodes[0].Module.Records()[0]
				_ = s.Nodes[1].Module.RemoveBIB(session.UDP, r.Src4())
				_ = s.Nodes[1].Module.Add(entries(t, session.Packed40, made(session.UDP, 7, r.Src4().String(), 0, 0, time.Minute)))
			},
			do: func(*Simulation) {}, look: 12500 * ms,
			want: []lack{{Origin: Vanished, Conflict: true, Since: 5, Known: 6}, {Peer: 2, Origin: Vanished, Conflict: true, Since: 5, Known: 6}},
		},
		"the table is emptied": {
			before: func(s *Simulation) { packet(s, opening(session.UDP, 1)) },
			do:     func(s *Simulation) { s.Nodes[1].Module.Recreate() }, look: 12500 * ms,
			want: []lack{{Origin: Reported, Emptied: true, Since: 10, Known: 11}, {Peer: 2, Origin: Stored, Emptied: true, Since: 10, Known: 11}},
		},
		"the peers die": {
			faults: []Fault{{Kind: Kill, At: 11 * time.Second, For: time.Hour, Host: 0, Peer: 1}, {Kind: Stall, At: 11 * time.Second, For: time.Hour, Host: 2, Peer: 1}},
			do:     func(s *Simulation) { s.Nodes[1].Module.NoMemory = 1; packet(s, opening(session.UDP, 1)) }, look: 20 * time.Second,
		},
		"the peer runs upstream's joold": {
			faults: []Fault{{Kind: OldJoold, For: time.Hour, Host: 0, Peer: 1}},
			do:     func(s *Simulation) { s.Nodes[1].Module.NoMemory = 1; packet(s, opening(session.UDP, 1)) }, look: 12500 * ms,
			want: []lack{{Peer: 2, Origin: Vanished, Since: 10, Known: 11}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := c.version
			if v == "" {
				v = "4.1.15"
			}
			s := claimers(t, v, c.faults...)
			if s.Run(5 * time.Second); c.before != nil {
				c.before(s)
			}
			s.Run(at)
			c.do(s)
			s.Run(c.look)
			var got []lack
			for _, l := range s.Truth.Lacks(1) {
				got = append(got, lack{l.Peer, l.Origin, l.Older, l.Conflict, l.Emptied, seconds(l.Since), seconds(l.Known)})
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("host 1 (-want +got):\n%s", diff)
			}
		})
	}
}

// Lacks compares only sessions that have changed. It finds what a comparison of all sessions finds.
func TestLacksFindsAll(t *testing.T) {
	found := 0
	for seed := range uint64(4) {
		s := New(chaos(t, seed))
		s.Every(700*ms, func(time.Time) {
			for host, own := range s.Nodes {
				var want, got []string
				for _, p := range s.Nodes {
					since, live := s.Truth.Live(host, p.ID)
					for id := range p.Module.byID {
						if l, lacks := s.Truth.compare(own.Module, p.Module, id); live && lacks {
							l.Host, l.Peer = host, p.ID
							if s.Truth.date(&l, own.Module, id, since) {
								want = append(want, fmt.Sprint(l))
							}
						}
					}
				}
				for _, l := range s.Truth.Lacks(host) {
					got = append(got, fmt.Sprint(l))
				}
				if found += len(want); !slices.Equal(want, got) {
					t.Fatalf("seed %d, host %d after %v (-want +got):\n%s", seed, host, s.Clock.Elapsed(), cmp.Diff(want, got))
				}
			}
		})
		s.Run(100 * time.Second)
	}
	if found == 0 {
		t.Error("nothing was ever missing")
	}
}

func TestVersions(t *testing.T) {
	v := func(s session.State, at time.Duration) Version { return Version{State: s, Updated: Epoch.Add(at)} }
	const tolerance = 4 * time.Second
	for _, c := range []struct {
		a, b                Version
		beats, back, behind bool // a beats b; a change from b to a moves back; b beats a
	}{
		{v(session.Established, 0), v(session.Established, 3*time.Second), false, false, false},
		{v(session.Established, 5*time.Second), v(session.Established, 0), true, false, false},
		{v(session.Established, 0), v(session.V6Init, 0), true, false, false},
		{v(session.Established, 0), v(session.V6Init, 3*time.Second), true, false, false},
		{v(session.V4FinRcv, 0), v(session.Established, 0), true, false, false},
		{v(session.V4FinRcv, 0), v(session.Established, 2*time.Second), false, false, false},
		{v(session.Trans, 5*time.Second), v(session.Established, 0), true, false, false},
		{v(session.Established, 5*time.Second), v(session.Trans, 0), true, false, false},
		{v(session.Established, 100*ms), v(session.Trans, 0), false, false, true},
		{v(session.V6Init, 100*ms), v(session.Established, 0), false, true, true},
		{v(session.V6Init, 5*time.Minute), v(session.Trans, 0), true, false, false},
	} {
		name := fmt.Sprintf("%v at %v after %v at %v", c.a.State, c.a.Updated.Sub(Epoch), c.b.State, c.b.Updated.Sub(Epoch))
		if got := c.a.Beats(c.b, tolerance); got != c.beats {
			t.Errorf("%s: beats %v, want %v", name, got, c.beats)
		}
		if got := c.a.MovesBack(c.b, tolerance); got != c.back {
			t.Errorf("%s: moves back %v, want %v", name, got, c.back)
		}
		if got := c.b.Beats(c.a, tolerance); got != c.behind {
			t.Errorf("%s: is beaten %v, want %v", name, got, c.behind)
		}
	}
}

// A session's history forgets its oldest versions, but neither when the session first became known nor its newest.
func TestHistory(t *testing.T) {
	var h history
	v := Version{State: session.Established, Timer: session.TimerEstablished}
	for i := range 100 {
		now := Epoch.Add(time.Duration(i) * 300 * ms)
		v.Updated = now
		h.learn(v, now, false)
	}
	last, known := h.latest()
	if !known || len(h.versions) != historyLen || h.first != Epoch || last.Updated.Before(Epoch.Add(29*time.Second)) {
		t.Errorf("%d versions, known since %v, newest %v", len(h.versions), h.first, last.Updated)
	}
	old := Version{State: session.Established, Updated: last.Updated.Add(-6 * time.Second)}
	if got := last.Updated.Sub(h.since(old, 4*time.Second)); got < time.Second || got > 3*time.Second {
		t.Errorf("beaten for %v, want about 2s", got)
	}
}

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
