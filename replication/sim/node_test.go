package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/session"
)

// recorder is a Replica that notes how it is called.
type recorder struct {
	env   *Env
	calls *[]string
	act   func(e *Env) // in Start
	next  time.Time    // Wake's result
}

func (r *recorder) note(now time.Time, format string, args ...any) {
	*r.calls = append(*r.calls, fmt.Sprintf("%v %s", now.Sub(Epoch).Truncate(time.Millisecond), fmt.Sprintf(format, args...)))
}

func (r *recorder) Start(now time.Time, kept []byte) {
	r.note(now, "start %q", kept)
	if r.act != nil {
		r.act(r.env)
	}
}

func (r *recorder) Stop(now time.Time) []byte {
	r.note(now, "stop")
	return []byte("word")
}

func (r *recorder) Report(now time.Time, entries []byte) {
	r.note(now, "report %d", r.env.Version().Format().CountList(entries))
	r.env.Ack(1)
}

func (r *recorder) Overrun(now time.Time) { r.note(now, "overrun") }

func (r *recorder) Datagram(now time.Time, d Datagram) {
	r.note(now, "datagram %q, waited %v", d.Data, now.Sub(d.Arrived).Truncate(time.Second))
}

func (r *recorder) Regrouped(now time.Time) { r.note(now, "regrouped") }
func (r *recorder) Advertise(now time.Time) { r.note(now, "advertises") }

func (r *recorder) Wake(now time.Time) time.Time {
	if !r.next.IsZero() && !now.Before(r.next) {
		r.note(now, "wake")
		r.next = time.Time{}
	}
	return r.next
}

func (r *recorder) Verdict(time.Time) Verdict { return Verdict{Answer: Alone} }
func (r *recorder) Phase() string             { return "idle" }

// recorded is a simulation of one recorder without traffic, and a peer that says something each second.
func recorded(t testing.TB, faults []Fault, act func(*Env), wake time.Duration) (*Simulation, *[]string) {
	var calls []string
	c := small(t, 1, 2, "4.1.15")
	c.Traffic.Lanes = nil
	c.Faults = faults
	c.Hosts[0].Replica = func(e *Env) Replica {
		r := &recorder{env: e, calls: &calls, act: act}
		if wake > 0 {
			r.next = Epoch.Add(wake)
		}
		return r
	}
	s := New(c)
	n := 0
	s.Every(time.Second, func(time.Time) {
		n++
		s.Network.Send(1, fmt.Append(nil, n))
	})
	return s, &calls
}

func TestNode(t *testing.T) {
	at := 2500 * time.Millisecond
	for name, c := range map[string]struct {
		fault Fault
		wake  time.Duration
		want  []string
	}{
		"no fault": {Fault{Kind: Delay, At: at}, 3500 * time.Millisecond, []string{
			`0s start ""`, `1s datagram "1", waited 0s`, `2s datagram "2", waited 0s`, `3s datagram "3", waited 0s`, `3.5s wake`,
			`4s datagram "4", waited 0s`, `5s datagram "5", waited 0s`}},
		"kill": {Fault{Kind: Kill, At: at, For: 2 * time.Second}, 0, []string{
			`0s start ""`, `1s datagram "1", waited 0s`, `2s datagram "2", waited 0s`,
			`4.5s start ""`, `5s datagram "5", waited 0s`}},
		"restart": {Fault{Kind: Restart, At: at, For: 2 * time.Second}, 0, []string{
			`0s start ""`, `1s datagram "1", waited 0s`, `2s datagram "2", waited 0s`, `2.5s stop`,
			`4.5s start "word"`, `4.5s datagram "3", waited 1s`, `4.5s datagram "4", waited 0s`, `5s datagram "5", waited 0s`}},
		"stall": {Fault{Kind: Stall, At: at, For: 2 * time.Second}, 3500 * time.Millisecond, []string{
			`0s start ""`, `1s datagram "1", waited 0s`, `2s datagram "2", waited 0s`,
			`4.5s datagram "3", waited 1s`, `4.5s datagram "4", waited 0s`, `4.5s wake`, `5s datagram "5", waited 0s`}},
		"regroup": {Fault{Kind: Regroup, At: at, For: 2 * time.Second}, 0, []string{
			`0s start ""`, `1s datagram "1", waited 0s`, `2s datagram "2", waited 0s`, `2.5s regrouped`, `4.5s regrouped`,
			`5s datagram "5", waited 0s`}},
		"old joold": {Fault{Kind: OldJoold, At: at, For: 2 * time.Second}, 0, []string{
			`0s start ""`, `1s datagram "1", waited 0s`, `2s datagram "2", waited 0s`, `2.5s stop`,
			`4.5s start ""`, `5s datagram "5", waited 0s`}},
		"recreate": {Fault{Kind: Recreate, At: at, For: 2 * time.Second}, 0, []string{
			`0s start ""`, `1s datagram "1", waited 0s`, `2s datagram "2", waited 0s`, `2.5s stop`,
			`4.5s start ""`, `5s datagram "5", waited 0s`}},
	} {
		t.Run(name, func(t *testing.T) {
			f := c.fault
			f.Peer = 1
			s, calls := recorded(t, []Fault{f}, nil, c.wake)
			s.Run(5500 * time.Millisecond)
			if diff := cmp.Diff(c.want, *calls); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNetlinkSocket(t *testing.T) {
	burst := func(s *Simulation, n int) {
		for i := range n {
			s.Nodes[0].Module.Packet(opening(session.UDP, i))
		}
	}
	for name, c := range map[string]struct {
		faults []Fault
		buffer int
		want   []string
	}{
		"reports wait while the worker is stalled": {[]Fault{{Kind: Stall, At: time.Second, For: 10 * time.Second, Peer: 1}}, 208 << 10,
			[]string{"report 1", "report 3"}},
		"reports overrun it": {[]Fault{{Kind: Stall, At: time.Second, For: 10 * time.Second, Peer: 1}}, 600,
			[]string{"overrun", "report 1"}},
		"a fault overruns it": {[]Fault{{Kind: Overrun, At: time.Second, Amount: 1, Peer: 1}}, 208 << 10,
			[]string{"overrun", "report 3"}},
		"killed": {[]Fault{{Kind: Kill, At: time.Second, For: 10 * time.Second, Peer: 1}}, 208 << 10, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s, calls := recorded(t, c.faults, nil, 0)
			s.Nodes[0].buffer = c.buffer
			s.Network.SetDown(1, true)
			s.Nodes[0].Module.Globals.SSFlushDeadline = 2 * time.Second
			for _, at := range []time.Duration{3 * time.Second, 3001 * ms, 3002 * ms, 6 * time.Second} {
				s.Run(at)
				burst(s, 1)
			}
			s.Run(12 * time.Second)
			var got []string
			for _, call := range *calls {
				var at, what string
				var n int
				if _, err := fmt.Sscan(call, &at, &what); err != nil {
					t.Fatal(err)
				}
				if what == "overrun" {
					got = append(got, what)
				}
				if _, err := fmt.Sscanf(call, at+" report %d", &n); err == nil {
					got = append(got, fmt.Sprint("report ", n))
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("calls (-want +got):\n%s\n%q", diff, *calls)
			}
		})
	}
}

func TestEnv(t *testing.T) {
	var early, late int
	var pages []int
	var ended []time.Time
	var finished time.Time
	act := func(e *Env) {
		for range 100 {
			v, seen := 1, 0
			e.Background(func() { seen = v }, func(time.Time) {
				if seen == 1 {
					early++
				} else {
					late++
				}
			})
			v = 2
		}
		e.ReadTable(func(_ time.Time, p PageResult) bool {
			pages = append(pages, len(p.Records))
			return true
		}, func(now time.Time, err error) {
			if err != nil {
				t.Error(err)
			}
			finished = now
		})
		e.later(time.Hour, func(now time.Time) { ended = append(ended, now) })
	}
	s, _ := recorded(t, []Fault{{Kind: Kill, At: time.Minute, For: time.Second, Peer: 1}}, act, 0)
	for n := range 60 {
		s.Nodes[0].Module.Packet(opening(session.TCP, n))
	}
	s.Run(time.Second)
	if early+late != 100 || early < 20 || late < 20 {
		t.Errorf("%d jobs ran at the beginning of their delay, %d at the end", early, late)
	}
	if diff := cmp.Diff([]int{26, 26, 8, 0, 0}, pages); diff != "" || finished.IsZero() {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
	if u := s.Nodes[0].Usage; u.Pages != 5 {
		t.Errorf("%d pages counted", u.Pages)
	}
	s.Run(2 * time.Hour)
	second := s.Nodes[0].since.Add(time.Hour) // the killed Replica's callback was due at one hour
	if diff := cmp.Diff([]time.Time{second}, ended); diff != "" {
		t.Errorf("callbacks (-want +got):\n%s", diff)
	}
}

func TestTableChangesBetweenPages(t *testing.T) {
	var got []session.Record
	s, _ := recorded(t, nil, func(e *Env) {
		e.ReadTable(func(_ time.Time, p PageResult) bool {
			got = append(got, p.Records...)
			for n := 100 * len(got); n < 100*len(got)+20; n++ {
				e.node.Module.Packet(opening(session.UDP, n)) // traffic meanwhile
			}
			return len(got) < 200
		}, func(time.Time, error) {})
	}, 0)
	for n := range 60 {
		s.Nodes[0].Module.Packet(opening(session.UDP, n))
	}
	s.Run(time.Second)
	seen := make(map[session.Key]bool)
	for i := range got {
		if seen[got[i].Key()] {
			t.Error("a session stands on two pages")
		}
		seen[got[i].Key()] = true
	}
	if len(got) <= 60 || len(got) == s.Nodes[0].Module.Len() {
		t.Errorf("%d sessions were read, the table has %d now", len(got), s.Nodes[0].Module.Len())
	}
}

func TestReplicaThatIsAlwaysDue(t *testing.T) {
	s, calls := recorded(t, nil, nil, 0)
	turns := 0
	s.factory[0] = func(e *Env) Replica { return due{&recorder{env: e, calls: calls}, &turns} }
	s.Run(10 * time.Millisecond)
	if turns < 100 || turns > 11_000 {
		t.Errorf("%d turns in 10 ms", turns)
	}
}

type due struct {
	*recorder
	turns *int
}

func (d due) Wake(now time.Time) time.Time {
	*d.turns++
	return now
}
