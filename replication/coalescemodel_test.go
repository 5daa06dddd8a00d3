package replication

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"joolctl/session"
)

// slotmates returns n numbers of sessions that share so many sets of slots.
func slotmates(c *Coalescer, sets uint64, n int) []int {
	var list []int
	for i := 0; len(list) < n; i++ {
		r := tcpRecord(i, 0)
		if r.Hash(c.seed)%coalesceSets < sets {
			list = append(list, i)
		}
	}
	return list
}

// TestCoalesceCollision has five sessions that share four slots.
func TestCoalesceCollision(t *testing.T) {
	p := newPassing(t, time.Second)
	five := slotmates(p.Coalescer, 1, coalesceWays+1)
	numbered := func(i int, ms uint32) session.Record { return tcpRecord(five[i], ms) }
	p.report(numbered(0, 5000), numbered(0, 5000)) // the second one is a refresh
	for i := 1; i < coalesceWays; i++ {
		p.after(10 * time.Millisecond)
		p.report(numbered(i, 5000))
	}
	p.want(numbered(0, 5000), numbered(1, 5000), numbered(2, 5000), numbered(3, 5000))
	p.report(numbered(4, 5000)) // evicts the second, which has no refresh
	p.want(numbered(4, 5000))
	p.report(numbered(2, 5000), numbered(3, 5000), numbered(4, 5000))
	p.want()
	p.after(70 * time.Millisecond)
	p.report(numbered(1, 5000)) // evicts the first: all have refreshes, and it was sent the longest ago
	p.want(numbered(0, 4900), numbered(1, 5000))
	p.after(2 * time.Second)
	if len(p.out) != 3 || !p.Idle() {
		t.Errorf("%d refreshes were sent, want 3", len(p.out))
	}
	p.out = nil
	p.report(numbered(3, 5000), numbered(0, 5000)) // a refresh waits for others, and a session without one is evicted
	p.want(numbered(0, 5000))
}

// TestCoalesceModel checks what the coalescer promises against all reports of
// random traffic: nothing older ever follows something newer, and every
// session's last report is out within a period.
func TestCoalesceModel(t *testing.T) {
	type report struct {
		at     time.Time
		record session.Record
	}
	states := []struct {
		state session.State
		timer session.Timer
		ttl   uint32
	}{{session.Established, session.TimerEstablished, 7_200_000}, {session.V6FinRcv, session.TimerEstablished, 7_200_000}, {session.Trans, session.TimerTransitory, 240_000}}
	for seed := range uint64(10) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		period := time.Duration(1+rnd.IntN(2000)) * time.Millisecond
		p := newPassing(t, period)
		numbers := slotmates(p.Coalescer, 1+rnd.Uint64N(2), 5+rnd.IntN(60))
		reports := make(map[int][]report)
		state := make(map[int]int)
		emitted := make(map[int]int) // the newest report that is out
		// look finds the reports that the records let through are.
		look := func() {
			for _, r := range p.out {
				n := int(binary.BigEndian.Uint32(r[12:]))
				ends := p.now.Add(time.Duration(r.Expires()) * time.Millisecond)
				of := -1
				for i, rep := range reports[n] {
					if rep.record.Same(&r) && rep.at.Add(time.Duration(rep.record.Expires())*time.Millisecond).Equal(ends) {
						of = i
					}
				}
				if of < 0 {
					t.Fatalf("seed %d: %x was never reported", seed, r)
				}
				if of < emitted[n] {
					t.Fatalf("seed %d: session %d's report %d is out behind %d", seed, n, of, emitted[n])
				}
				emitted[n] = of
			}
			p.out = nil
		}
		overdue := func() {
			for n, list := range reports {
				for i := emitted[n] + 1; i < len(list); i++ {
					// Only a session's last report must be sent in time.
					if age := p.now.Sub(list[i].at); age >= period+refreshEvery && i == len(list)-1 {
						t.Fatalf("seed %d: session %d's last report is still in after %v of %v", seed, n, age, period)
					}
				}
			}
		}
		// walk advances the time from flush to flush, so that p.now is the time at which the sessions are passed on.
		walk := func(d time.Duration) {
			for end := p.now.Add(d); ; {
				p.after(0)
				look()
				if !p.now.Before(end) {
					return
				}
				if next := p.Next(); !next.IsZero() && next.Before(end) {
					p.now = next
				} else {
					p.now = end
				}
			}
		}
		for range 4000 {
			walk(time.Duration(rnd.IntN(60)) * time.Millisecond)
			n := numbers[rnd.IntN(len(numbers))]
			if rnd.IntN(10) == 0 {
				state[n] = rnd.IntN(len(states))
			}
			s := states[state[n]]
			r := with(tcpRecord(n, s.ttl), s.state, s.timer)
			reports[n] = append(reports[n], report{p.now, r})
			if len(reports[n]) == 1 {
				emitted[n] = -1
			}
			p.report(r)
			look()
			overdue()
		}
		walk(period + refreshEvery)
		for n, list := range reports {
			last := len(list) - 1
			if !list[last].record.Same(&list[emitted[n]].record) || emitted[n] != last && !list[emitted[n]].at.Equal(list[last].at) {
				t.Errorf("seed %d: session %d: of %d reports, %d was the last that went out", seed, n, last, emitted[n])
			}
		}
		if !p.Idle() {
			t.Errorf("seed %d: a refresh still waits", seed)
		}
	}
}

// TestCoalesceFollowsConnections is 14,400 packets of 360 connections.
func TestCoalesceFollowsConnections(t *testing.T) {
	const sessions, packets, seconds = 360, 14_400, 10
	p := newPassing(t, time.Second)
	for i := range packets {
		p.report(tcpRecord(i%sessions, 7_200_000))
		p.after(seconds * time.Second / packets)
	}
	p.after(time.Second)
	if n := len(p.out); n > sessions*(seconds+3) || n < sessions*seconds/2 {
		t.Errorf("%d went on", n)
	}
	t.Logf("%d packets, %d went on", packets, len(p.out))
}

// TestCoalesceIsBounded has more sessions at once than it can remember.
func TestCoalesceIsBounded(t *testing.T) {
	p := newPassing(t, time.Second)
	const n = 12 * coalesceSlots
	for i := range n {
		p.report(tcpRecord(i, 5000))
		if i%1000 == 0 {
			p.after(time.Millisecond)
		}
	}
	if len(p.out) != n {
		t.Errorf("%d of %d new sessions were sent", len(p.out), n)
	}
	p.out = nil
	for i := range n { // the coalescer keeps the latest report of each session that it remembers
		p.report(tcpRecord(i, 5000))
	}
	p.after(time.Second + refreshEvery)
	if len(p.out) != n {
		t.Errorf("%d of %d refreshes were sent", len(p.out), n)
	}
	for range 10 * n {
		p.report(tcpRecord(rand.IntN(n), 5000))
		p.out = p.out[:0]
	}
	p.after(time.Second + refreshEvery)
	if !p.Idle() {
		t.Error("a refresh still waits")
	}
	if p.Free(); p.coalesceTable != nil {
		t.Error("freed, and it has memory")
	}
	p.out = nil
	p.report(tcpRecord(1, 5000), tcpRecord(1, 4999))
	p.after(time.Second)
	p.want(tcpRecord(1, 5000), tcpRecord(1, 3999))
}

func TestCoalesceNoAllocations(t *testing.T) {
	c := NewCoalescer(time.Second, 1)
	now := time.Unix(1_000_000, 0)
	out := 0
	emit := func(*session.Record) { out++ }
	n := testing.AllocsPerRun(100, func() {
		for i := range 3600 {
			r := tcpRecord(i%360, 7_200_000)
			c.Begin(now)
			if atOnce, _ := c.Report(&r); atOnce {
				out++
			}
			now = now.Add(300 * time.Microsecond)
			c.Flush(now, emit)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for 3600 reports", n)
	}
}

// BenchmarkCoalesce measures pass for a new session while the table is full, and for a refresh.
func BenchmarkCoalesce(b *testing.B) {
	for name, sessions := range map[string]int{"new": 4 * coalesceSlots, "refresh": 3600} {
		b.Run(name, func(b *testing.B) {
			c, now := NewCoalescer(time.Second, 1), time.Unix(1_000_000, 0)
			records := make([]session.Record, sessions)
			for i := range records {
				records[i] = tcpRecord(i, 5000)
			}
			for i := 0; b.Loop(); i++ {
				if i%36 == 0 {
					now = now.Add(time.Millisecond)
					c.Flush(now, func(*session.Record) {})
					c.Begin(now)
				}
				c.Report(&records[i%sessions])
			}
		})
	}
}
