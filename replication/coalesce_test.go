package replication

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"joolctl/session"
)

// with gives a record a state and a timer.
func with(r session.Record, s session.State, timer session.Timer) session.Record {
	binary.BigEndian.PutUint16(r[34:], uint16(session.TCP)<<5|uint16(s)<<2|uint16(timer))
	return r
}

// passing drives a Coalescer in virtual time and records the sessions that it passes on.
type passing struct {
	*Coalescer
	t   testing.TB
	now time.Time
	out []session.Record
}

func newPassing(t testing.TB, period time.Duration) *passing {
	return &passing{Coalescer: NewCoalescer(period, 1), t: t, now: time.Unix(1_000_000, 0)}
}

func (p *passing) report(records ...session.Record) {
	p.Begin(p.now)
	for _, r := range records {
		atOnce, evicted := p.Report(&r)
		if evicted != nil {
			p.out = append(p.out, *evicted)
		}
		if atOnce {
			p.out = append(p.out, r)
		}
	}
}

// after advances the clock, and calls flush at each time that next returns.
func (p *passing) after(d time.Duration) {
	end := p.now.Add(d)
	for next := p.Next(); !next.IsZero() && !next.After(end); {
		if next.After(p.now) {
			p.now = next
		}
		again := p.Flush(p.now, func(r *session.Record) { p.out = append(p.out, *r) })
		if !again.Equal(p.Next()) {
			p.t.Fatalf("flush says %v, next %v", again, p.Next())
		}
		next = again
	}
	p.now = end
}

func (p *passing) want(records ...session.Record) {
	p.t.Helper()
	if fmt.Sprintf("%x", p.out) != fmt.Sprintf("%x", records) {
		p.t.Errorf("passed on\n%x\nwant\n%x", p.out, records)
	}
	p.out = nil
}

func TestCoalesce(t *testing.T) {
	p := newPassing(t, time.Second)
	p.report(tcpRecord(1, 5000), tcpRecord(2, 7000))
	p.want(tcpRecord(1, 5000), tcpRecord(2, 7000))
	for i := range 9 { // a packet every 100 ms
		p.after(100 * time.Millisecond)
		p.report(tcpRecord(1, 5000+uint32(i)))
	}
	p.want()
	p.after(99 * time.Millisecond)
	p.want()
	p.after(time.Millisecond)
	p.want(tcpRecord(1, 4908)) // 5008 was 100 ms ago

	// It begins again with that.
	p.after(500 * time.Millisecond)
	p.report(tcpRecord(1, 5000))
	p.want()
	p.after(500 * time.Millisecond)
	p.want(tcpRecord(1, 4500))

	// The refresh of a session that was silent for longer than a period leaves at the next tick.
	p.after(1550 * time.Millisecond)
	p.want()
	if !p.Idle() || !p.Next().IsZero() {
		t.Error("a refresh waits")
	}
	p.report(tcpRecord(1, 5000))
	p.want()
	p.after(49 * time.Millisecond)
	p.want()
	p.after(time.Millisecond)
	p.want(tcpRecord(1, 4950))

	if p.after(2 * time.Second); !p.Idle() {
		t.Error("a refresh waits")
	}
	p.want()

	// A session is new after free has released the table.
	p.Free()
	p.report(tcpRecord(1, 5000))
	p.want(tcpRecord(1, 5000))
}

// TestCoalesceChanges: each change of a session, other than of its time left, is sent at once.
func TestCoalesceChanges(t *testing.T) {
	first := with(tcpRecord(1, 5000), session.V6FinRcv, session.TimerEstablished)
	otherMask := first
	otherMask[16]++
	otherPort := first
	otherPort[31]++
	for name, changed := range map[string]session.Record{
		"state":          with(first, session.V4FinRcv, session.TimerEstablished),
		"timer":          with(first, session.V6FinRcv, session.TimerTransitory),
		"mask's address": otherMask,
		"mask's port":    otherPort,
	} {
		p := newPassing(t, time.Second)
		p.report(first)
		p.after(10 * time.Millisecond)
		p.report(first) // is overtaken
		p.after(10 * time.Millisecond)
		p.report(changed, changed)
		p.want(first, changed)
		p.after(10 * time.Millisecond)
		p.report(first)
		p.want(first)
		p.after(980 * time.Millisecond)
		if p.want(); t.Failed() {
			t.Fatal(name)
		}
	}
}

func TestCoalesceOff(t *testing.T) {
	p := newPassing(t, 0)
	p.report(tcpRecord(1, 5), tcpRecord(1, 5), tcpRecord(1, 4))
	p.want(tcpRecord(1, 5), tcpRecord(1, 5), tcpRecord(1, 4))
	if p.coalesceTable != nil || !p.Next().IsZero() || !p.Flush(p.now, nil).IsZero() {
		t.Error("it does something")
	}
}

// TestCoalesceTurnedOff: drain sends the refreshes that wait, before each report is sent at once.
func TestCoalesceTurnedOff(t *testing.T) {
	p := newPassing(t, time.Second)
	p.report(tcpRecord(1, 5000), tcpRecord(2, 5000), tcpRecord(1, 5000))
	p.after(10 * time.Millisecond)
	p.out = nil
	p.Drain(p.now, func(r *session.Record) { p.out = append(p.out, *r) })
	p.want(tcpRecord(1, 4990))
	if !p.Idle() || p.coalesceTable != nil {
		t.Error("something is left")
	}
	p.SetPeriod(0)
	p.report(tcpRecord(1, 4000))
	p.want(tcpRecord(1, 4000))
	p.SetPeriod(time.Second)
	p.report(tcpRecord(1, 3000), tcpRecord(1, 3000))
	p.want(tcpRecord(1, 3000))
	p.after(time.Second)
	p.want(tcpRecord(1, 2000))
}

// TestCoalesceHastened: Hasten sends the refreshes that wait, and their sessions' periods begin again.
func TestCoalesceHastened(t *testing.T) {
	p := newPassing(t, time.Second)
	p.report(tcpRecord(1, 5000), tcpRecord(2, 5000), tcpRecord(1, 5000))
	p.after(500 * time.Millisecond)
	p.out = nil
	p.Hasten(p.now, func(r *session.Record) { p.out = append(p.out, *r) })
	p.want(tcpRecord(1, 4500))
	if !p.Idle() {
		t.Error("something is left")
	}
	p.report(tcpRecord(1, 5000), tcpRecord(2, 5000))
	p.after(500 * time.Millisecond)
	p.want(tcpRecord(2, 4500))
	p.after(500 * time.Millisecond)
	p.want(tcpRecord(1, 4000))
}

// TestCoalesceFlushIsLate has nobody come at a period's end.
func TestCoalesceFlushIsLate(t *testing.T) {
	p := newPassing(t, time.Second)
	p.report(tcpRecord(1, 5000), tcpRecord(1, 5000))
	p.now = p.now.Add(3 * time.Second)
	p.report(tcpRecord(1, 5000)) // says all that is to be said
	p.want(tcpRecord(1, 5000))
	p.after(5 * time.Second)
	p.want(tcpRecord(1, 5000))

	p.report(tcpRecord(2, 5000), tcpRecord(2, 2000))
	p.now = p.now.Add(3 * time.Second)
	p.out = nil
	p.after(0)
	p.want(tcpRecord(2, 0)) // it has expired
}

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
		t.Errorf("%d of %d new sessions went on", len(p.out), n)
	}
	p.out = nil
	for i := range n { // of those that it remembers it has the last
		p.report(tcpRecord(i, 5000))
	}
	p.after(time.Second + refreshEvery)
	if len(p.out) != n {
		t.Errorf("%d of %d went on", len(p.out), n)
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

// TestCoalesceMovedICMP has an ICMP session get another mask, whose identifier
// its dst4 has too.
func TestCoalesceMovedICMP(t *testing.T) {
	old := tcpRecord(3, 60_000)
	binary.BigEndian.PutUint16(old[34:], uint16(session.ICMP)<<5)
	copy(old[32:34], old[30:32])
	moved := old
	moved[31], moved[33] = 99, 99
	p := newPassing(t, time.Second)
	p.report(old, old, moved)
	p.want(old, moved)
	p.after(5 * time.Second)
	p.want()
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

// TestCoalesceSuperseded has another host report sessions, one of which waits for its refresh here.
func TestCoalesceSuperseded(t *testing.T) {
	p := newPassing(t, time.Second)
	p.report(tcpRecord(1, 5000), tcpRecord(2, 7000))
	p.after(100 * time.Millisecond)
	p.report(tcpRecord(1, 5000), tcpRecord(2, 7000))
	p.want(tcpRecord(1, 5000), tcpRecord(2, 7000))
	for _, r := range []session.Record{tcpRecord(1, 4000), tcpRecord(3, 4000)} {
		p.Supersede(&r)
	}
	p.after(5 * time.Second)
	p.want(tcpRecord(2, 6100))
	p.report(tcpRecord(1, 5000)) // the traffic is back, and the period is over
	p.want()
	p.after(100 * time.Millisecond)
	p.want(tcpRecord(1, 4900))
	p.report(with(tcpRecord(1, 5000), session.Trans, session.TimerTransitory))
	p.want(with(tcpRecord(1, 5000), session.Trans, session.TimerTransitory))
	if p.after(5 * time.Second); !p.Idle() {
		t.Error("a refresh is left")
	}
	p.want()
}

// TestCoalesceRemoved removes a BIB entry, of which a refresh waits.
func TestCoalesceRemoved(t *testing.T) {
	p := newPassing(t, time.Second)
	gone, stays := tcpRecord(1, 5000), tcpRecord(2, 7000)
	gone[30]++ // another mask
	for range 2 {
		p.report(gone, stays)
	}
	p.want(gone, stays)
	p.Remove(map[Mask]struct{}{maskOf(&gone): {}})
	p.after(time.Second)
	p.want(tcpRecord(2, 6000))
}
