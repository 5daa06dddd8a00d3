package sim

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/session"
)

// quiet ends the traffic after a time, and lets the hosts carry what is under way.
func quiet(c *Config, after time.Duration) {
	for i := range c.Traffic.Lanes {
		c.Traffic.Lanes[i].To = after
	}
	c.Traffic.Packets, c.Traffic.Interval = 5, Span{100 * time.Millisecond, time.Second}
}

func TestLossless(t *testing.T) {
	for _, v := range []string{"4.1.9", "4.1.11", "4.1.12", "4.1.15"} {
		for hosts := 2; hosts <= 4; hosts++ {
			t.Run(fmt.Sprintf("%s, %d hosts", v, hosts), func(t *testing.T) {
				c := small(t, uint64(hosts), hosts, v)
				quiet(&c, 30*time.Second)
				s := New(c)
				s.Run(45 * time.Second)
				if n := s.Nodes[0].Module.Len(); n < 20 || s.Workload.Count.Broken > 0 {
					t.Fatalf("%d sessions, traffic %+v", n, s.Workload.Count)
				}
				for host := range s.Nodes {
					for peer := range s.Nodes {
						if d := s.Truth.Differences(host, peer); len(d) > 0 {
							t.Errorf("host %d differs from host %d in %d sessions: %v", host, peer, len(d), d[0])
						}
					}
					if p := s.Truth.Phantoms(host); len(p) > 0 {
						t.Errorf("host %d has %d sessions that nobody opened", host, len(p))
					}
				}
				if moves := s.Truth.Moves(); len(moves) > 0 {
					t.Errorf("%v", moves[0])
				}
			})
		}
	}
}

func TestLossShows(t *testing.T) {
	c := small(t, 1, 2, "4.1.15")
	quiet(&c, 30*time.Second)
	c.Faults = []Fault{{Kind: Loss, For: time.Hour, Host: 0, Peer: 1, Amount: 0.8}}
	s := New(c)
	for at := 5 * time.Second; at <= 30*time.Second; at += 5 * time.Second {
		s.Run(at)
		want, got := make(map[session.Key]bool), make(map[session.Key]bool)
		for _, r := range s.Nodes[0].Module.Records() {
			if _, there := s.Nodes[1].Module.Session(r.Key()); !there {
				want[r.Key()] = true
			}
		}
		older := 0
		for _, l := range s.Truth.Lacks(1) {
			if l.Older {
				older++
				continue
			}
			got[l.Record.Key()] = true
			if l.Origin != Reported || l.Since.IsZero() || l.Since.After(s.Clock.Now()) || l.Host != 1 || l.Peer != 0 {
				t.Errorf("%v", l)
			}
		}
		for key := range got {
			if !want[key] {
				t.Errorf("after %v: a session counts as missing that the host holds", at)
			}
		}
		if len(got) == 0 || len(want)-len(got) > 3 { // some wait in the module
			t.Errorf("after %v: %d sessions count as missing and %d as older, %d are missing", at, len(got), older, len(want))
		}
	}
	if len(s.Truth.Lacks(0)) > 0 {
		t.Error("the active host lacks sessions")
	}
}

// chaos is a simulation with faults of all kinds.
func chaos(t testing.TB, seed uint64) Config {
	c := small(t, seed, 4, "4.1.15")
	c.Hosts[1].Module.Version = version(t, "4.1.13")
	c.Faults = Generate(seed, Plan{Hosts: 4, From: 2 * time.Second, To: 100 * time.Second, Faults: 60})
	return c
}

func TestSameSeedSameTrace(t *testing.T) {
	run := func(seed uint64) (text string, digest uint64, count Count) {
		var out strings.Builder
		c := chaos(t, seed)
		c.Text = &out
		s := New(c)
		s.Monitor(100*time.Millisecond, DefaultBounds())
		s.Run(120 * time.Second)
		return out.String(), s.Trace.Digest(), s.Workload.Count
	}
	texts := make(map[string]bool)
	for seed := range uint64(3) {
		text, digest, count := run(seed)
		again, digest2, count2 := run(seed)
		if text != again || digest != digest2 || count != count2 {
			t.Errorf("seed %d gives two traces", seed)
		}
		texts[text] = true
		for _, k := range []string{"sends", "receives", "adds", "reports", "loses", "fault "} {
			if !strings.Contains(text, k) {
				t.Errorf("seed %d: the trace never says %q", seed, k)
			}
		}
	}
	if len(texts) != 3 {
		t.Errorf("three seeds give %d traces", len(texts))
	}
}

func TestTextDoesNotChangeTheDigest(t *testing.T) {
	with, without := chaos(t, 7), chaos(t, 7)
	with.Text = &strings.Builder{}
	a, b := New(with), New(without)
	a.Run(30 * time.Second)
	b.Run(30 * time.Second)
	if a.Trace.Digest() != b.Trace.Digest() || a.Trace.Events() == 0 {
		t.Error("a trace with text has another digest")
	}
}

func TestEveryKindOfFault(t *testing.T) {
	for _, k := range Kinds() {
		t.Run(k.String(), func(t *testing.T) {
			run := func(faults []Fault) string { // the trace without the faults themselves
				var text, rest strings.Builder
				c := small(t, 3, 3, "4.1.15")
				c.Faults, c.Text = faults, &text
				New(c).Run(80 * time.Second)
				for line := range strings.Lines(text.String()) {
					if !strings.Contains(line, "fault ") && !strings.Contains(line, "begins: ") && !strings.Contains(line, "ends: ") {
						rest.WriteString(line)
					}
				}
				return rest.String()
			}
			f := Fault{Kind: k, At: 20 * time.Second, For: 20 * time.Second, Host: 0, Peer: 1, Amount: limitsOf[k].max, Sides: 1}
			switch k {
			case Merge:
				f.At = 0
			case NoMemory, RequestLoss:
				f.Host, f.Peer = 1, 0 // the host that is given sessions
			}
			if run([]Fault{f}) == run(nil) {
				t.Error("it changes nothing")
			}
		})
	}
}

func TestMinimiseFindsTheFault(t *testing.T) {
	c := small(t, 5, 3, "4.1.15")
	quiet(&c, 30*time.Second)
	relevant := Fault{Kind: OneWay, At: 10 * time.Second, For: 2 * time.Second, Host: 0, Peer: 2}
	harmless := []Kind{Duplicate, Delay, Deadline, Burst}
	all := append(Generate(5, Plan{Hosts: 3, From: time.Second, To: 25 * time.Second, Faults: 30, Kinds: harmless}), relevant)
	missing := func(faults []Fault) bool {
		c := c
		c.Faults = faults
		s := New(c)
		s.Run(40 * time.Second)
		for _, d := range s.Truth.Differences(2, 0) {
			if !d.Older {
				return true
			}
		}
		return false
	}
	if diff := cmp.Diff([]Fault{relevant}, Minimise(all, missing)); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

func TestFailover(t *testing.T) {
	for name, c := range map[string]struct {
		off   bool
		fault Fault
	}{
		"planned":            {false, Fault{Kind: Failover, At: 20 * time.Second, Host: 0, Peer: 1}},
		"the active crashes": {false, Fault{Kind: Crash, At: 20 * time.Second, For: 5 * time.Second, Host: 0, Peer: 1}},
		"without workers":    {true, Fault{Kind: Failover, At: 20 * time.Second, Host: 0, Peer: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			config := small(t, 1, 2, "4.1.15")
			for i := range config.Hosts {
				config.Hosts[i].Off = c.off
			}
			config.Faults = []Fault{c.fault}
			s := New(config)
			s.Run(60 * time.Second)
			if s.Workload.Active(0) != 1 {
				t.Error("host 1 is not active")
			}
			count := s.Workload.Count
			switch {
			case count.Opened < 50:
				t.Errorf("%d connections", count.Opened)
			case c.off && count.Broken < 5:
				t.Errorf("%d connections broke", count.Broken)
			case !c.off && count.Broken > 0:
				t.Errorf("%d of %d connections broke", count.Broken, count.Opened)
			}
			if c.fault.Kind == Crash && len(s.Truth.Differences(0, 1)) == 0 {
				t.Error("the host that crashed has the sessions from before")
			}
		})
	}
}
