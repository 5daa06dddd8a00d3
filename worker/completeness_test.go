package worker

import (
	"fmt"
	"testing"
	"time"

	"joolctl/replication/sim"
	"joolctl/session"
	"joolctl/syncwire"
)

// wrongFor is how long a host may say that it is complete although it lacks sessions of its peers.
const wrongFor = 2 * time.Second

// TestNeverWrong makes hosts lack each other's sessions. None of them says for longer than wrongFor that it is complete,
// and in the end all are.
func TestNeverWrong(t *testing.T) {
	const at, forGood = 20 * time.Second, time.Hour
	halves := &sim.Impairment{From: -1, To: -1, Side: 0b11}
	live := func(t *testing.T, from, to *virtualHost) {
		i := 100
		from.v.until("the standby stores live sessions again", func() bool {
			from.report(sessionAt(i, 0))
			i++
			return to.has([]session.Record{sessionAt(100, 0)}) || to.Module.Len() > 40
		})
	}
	for _, c := range []struct {
		name   string
		tables [][]session.Record
		faults []sim.Fault
		apart  *sim.Impairment // from the start
		after  func(t *testing.T, v *virtual)
	}{
		{name: "two with different tables start", tables: tables(sessionsAt(0, 100), sessionsAt(1000, 100))},
		{name: "three with different tables start", tables: tables(sessionsAt(0, 500), sessionsAt(1000, 500), sessionsAt(2000, 500))},
		{name: "one of three does not hear the active host", tables: tables(nil, nil, nil), after: func(t *testing.T, v *virtual) {
			v.Network.Begin(&sim.Impairment{From: 0, To: 2, Cut: true})
			i := 0
			v.until("it notices, while sessions are reported", func() bool {
				v.hosts[0].report(sessionsAt(10*i, 10)...)
				i++
				v.pass(100 * time.Millisecond)
				s := v.hosts[2].Sync()
				return !s.complete()
			})
		}},
		{name: "two of three do not hear different sessions", tables: tables(nil, nil, nil),
			faults: []sim.Fault{{Kind: sim.Kill, At: at, For: forGood}}, // from then on, host 0 cannot retransmit them
			after: func(t *testing.T, v *virtual) {
				v.Run(at - 10*time.Millisecond)
				for deaf := 1; deaf <= 2; deaf++ {
					cut := &sim.Impairment{From: 0, To: deaf, Cut: true}
					v.Network.Begin(cut)
					v.hosts[0].report(sessionsAt(100*deaf, 10)...)
					v.until("the other host has them", func() bool { return v.hosts[3-deaf].has(sessionsAt(100*deaf, 10)) })
					v.Network.End(cut)
				}
				v.Run(at)
			}},
		{name: "two pairs meet", tables: tables(sessionsAt(0, 100), sessionsAt(0, 100), sessionsAt(1000, 100), sessionsAt(1000, 100)), apart: halves,
			after: func(t *testing.T, v *virtual) {
				for i := range 10 {
					r := sessionAt(20_000+i, 0)
					for _, h := range []int{0, 2} {
						v.hosts[h].report(r)
						v.until("the session crosses", func() bool { return v.hosts[h+1].has([]session.Record{r}) })
					}
				}
				v.Network.End(halves)
			}},
		{name: "a forged HELLO has a much higher sequence number", tables: tables(nil, nil), after: func(t *testing.T, v *virtual) {
			v.peer.id, v.peer.last = v.hosts[0].worker().host.Knowledge.Self(), 1_000_000
			v.peer.say(&syncwire.Hello{Settings: ttl})
			v.pass(time.Millisecond)
			live(t, v.hosts[0], v.hosts[1])
		}},
		{name: "the active host counts from a lower number again", tables: tables(nil, nil), after: func(t *testing.T, v *virtual) {
			for i := range 40 {
				v.hosts[0].report(sessionAt(i, 0))
			}
			v.until("they have crossed", func() bool { return v.hosts[1].Module.Len() == 40 })
			knowledge, now := v.hosts[0].worker().host.Knowledge, v.Clock.Now()
			back := knowledge.Checkpoint(now) // as if the virtual machine had been reset to a snapshot
			back.Position.Seq = 3
			knowledge.Continue(&back, now)
			live(t, v.hosts[0], v.hosts[1])
		}},
		{name: "the standby moves to another group", tables: tables(nil, nil, sessionsAt(5000, 100)),
			faults: []sim.Fault{{Kind: sim.Regroup, At: 0, For: forGood, Host: 2}, {Kind: sim.Regroup, At: at, For: forGood, Host: 1}},
			after:  func(t *testing.T, v *virtual) { v.Run(at) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := newVirtual(t, c.tables, c.faults...)
			if c.apart != nil {
				v.Network.Begin(c.apart)
			}
			v.watch()
			v.until("all are complete", func() bool {
				return v.all(func(_ int, s SyncState) bool { return s.complete() || s.Synced == syncwire.SyncAlone })
			})
			if c.after != nil {
				c.after(t, v)
			}
			v.until("all are complete and equal", func() bool {
				return v.all(func(i int, s SyncState) bool { return (s.complete() || v.isAlone(i)) && v.lacks(i) == "" })
			})
		})
	}
}

// all reports whether something holds for all hosts that run.
func (v *virtual) all(holds func(i int, s SyncState) bool) bool {
	for i, h := range v.hosts {
		if h.Running() && !holds(i, h.Sync()) {
			return false
		}
	}
	return true
}

// isAlone reports whether no other running host is in a host's group.
func (v *virtual) isAlone(i int) bool {
	for k, h := range v.hosts {
		if k != i && h.Running() && v.Network.Group(k) == v.Network.Group(i) {
			return false
		}
	}
	return true
}

// lacks describes the sessions that a host lacks, and another host in its group has; "" if there are none.
func (v *virtual) lacks(i int) string {
	for k, other := range v.hosts {
		if k != i && other.Running() && v.Network.Group(k) == v.Network.Group(i) && (v.reaches(k, i) || v.reaches(i, k)) && !v.hosts[i].has(other.Module.Records()) {
			return fmt.Sprintf("host %d has sessions that are missing: %d here, %d there", k, v.hosts[i].Module.Len(), other.Module.Len())
		}
	}
	return ""
}

// reaches reports whether datagrams of a host can arrive at another one.
func (v *virtual) reaches(from, to int) bool { return !v.Network.Contact(from, to).Connected.IsZero() }

// watch fails the test if a host says for longer than wrongFor that it is complete although it lacks sessions.
func (v *virtual) watch() {
	since := make(map[int]time.Time)
	v.Every(50*time.Millisecond, func(now time.Time) {
		for i, h := range v.hosts {
			lacks := ""
			if h.Running() {
				if s := h.Sync(); s.Synced == syncwire.SyncYes && s.complete() {
					lacks = v.lacks(i)
				}
			}
			began, wrong := since[i]
			switch {
			case lacks == "":
				delete(since, i)
			case !wrong:
				since[i] = now
			case now.Sub(began) > wrongFor:
				v.t.Errorf("host %d says that it is complete for %v, but %s", i, now.Sub(began), lacks)
				delete(since, i)
			}
		}
	})
}
