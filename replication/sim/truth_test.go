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
		"the report waits in the module of a host whose worker is dead": {
			do: func(s *Simulation) {
				s.Nodes[0].Module.Globals.SSFlushDeadline = time.Hour
				packet(s, opening(session.UDP, 1))
				_ = s.Nodes[2].Module.Add(entries(t, session.Packed40, s.Nodes[0].Module.Records()[0]))
				s.Run(11 * time.Second)
				s.Nodes[0].kill()
			}, look: 30 * time.Second,
			want: []lack{{Peer: 2, Origin: Stored, Since: 10, Known: 18}},
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
