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

// TestCoalesceModel compares what the coalescer passes on with all reports of
// random traffic: no older report of a session follows a newer one, and
// every session's last report is passed on within a period.
func TestCoalesceModel(t *testing.T) {
	states := []struct {
		state session.State
		timer session.Timer
		ttl   uint32
	}{{session.Established, session.TimerEstablished, 7_200_000}, {session.V6FinRcv, session.TimerEstablished, 7_200_000}, {session.Trans, session.TimerTransitory, 240_000}}
	for seed := range uint64(10) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		m := newCoalesceModel(t, seed, time.Duration(1+rnd.IntN(2000))*time.Millisecond)
		numbers := slotmates(m.Coalescer, 1+rnd.Uint64N(2), 5+rnd.IntN(60))
		state := make(map[int]int) // by session
		for range 4000 {
			m.pass(time.Duration(rnd.IntN(60)) * time.Millisecond)
			n := numbers[rnd.IntN(len(numbers))]
			if rnd.IntN(10) == 0 {
				state[n] = rnd.IntN(len(states))
			}
			s := states[state[n]]
			m.put(n, with(tcpRecord(n, s.ttl), s.state, s.timer))
			m.checkDue()
		}
		m.pass(m.period + refreshEvery)
		m.checkEnd()
	}
}

// coalesceModel knows all reports that a coalescer has received, and which of them it has passed on.
type coalesceModel struct {
	*passing
	seed    uint64
	period  time.Duration
	reports map[int][]timedReport // by session
	newest  map[int]int           // by session: the index of the newest report that was passed on; -1: none was
}

type timedReport struct {
	at     time.Time
	record session.Record
}

// expires returns when the reported session expires without further packets.
func (r timedReport) expires() time.Time {
	return r.at.Add(time.Duration(r.record.Expires()) * time.Millisecond)
}

func newCoalesceModel(t *testing.T, seed uint64, period time.Duration) *coalesceModel {
	return &coalesceModel{passing: newPassing(t, period), seed: seed, period: period, reports: make(map[int][]timedReport), newest: make(map[int]int)}
}

// put reports session n now.
func (m *coalesceModel) put(n int, r session.Record) {
	m.t.Helper()
	if len(m.reports[n]) == 0 {
		m.newest[n] = -1
	}
	m.reports[n] = append(m.reports[n], timedReport{m.now, r})
	m.report(r)
	m.checkOut()
}

// pass lets time pass from flush to flush, so that m.now is the time at which the sessions are passed on.
func (m *coalesceModel) pass(d time.Duration) {
	m.t.Helper()
	for end := m.now.Add(d); ; {
		m.after(0)
		m.checkOut()
		if !m.now.Before(end) {
			return
		}
		if next := m.Next(); !next.IsZero() && next.Before(end) {
			m.now = next
		} else {
			m.now = end
		}
	}
}

// checkOut checks that each record that was passed on is a report, and that no older report follows a newer one.
func (m *coalesceModel) checkOut() {
	m.t.Helper()
	for _, r := range m.out {
		n := int(binary.BigEndian.Uint32(r[12:]))
		passed, of := timedReport{m.now, r}, -1
		for i, rep := range m.reports[n] {
			if rep.record.Same(&r) && rep.expires().Equal(passed.expires()) {
				of = i
			}
		}
		if of < 0 {
			m.t.Fatalf("seed %d: %x was never reported", m.seed, r)
		}
		if of < m.newest[n] {
			m.t.Fatalf("seed %d: session %d's report %d was passed on after report %d", m.seed, n, of, m.newest[n])
		}
		m.newest[n] = of
	}
	m.out = nil
}

// checkDue checks that each session's last report was passed on within a period. Older reports may be omitted.
func (m *coalesceModel) checkDue() {
	m.t.Helper()
	for n, list := range m.reports {
		last := len(list) - 1
		if age := m.now.Sub(list[last].at); m.newest[n] < last && age >= m.period+refreshEvery {
			m.t.Fatalf("seed %d: session %d's last report was not passed on after %v, the period is %v", m.seed, n, age, m.period)
		}
	}
}

// checkEnd checks that the last report of each session, or an equal one of the same time, was passed on, and that no refresh waits.
func (m *coalesceModel) checkEnd() {
	m.t.Helper()
	for n, list := range m.reports {
		last, newest := len(list)-1, m.newest[n]
		if !list[last].record.Same(&list[newest].record) || newest != last && !list[newest].at.Equal(list[last].at) {
			m.t.Errorf("seed %d: session %d: of the reports up to %d, %d was the last that was passed on", m.seed, n, last, newest)
		}
	}
	if !m.Idle() {
		m.t.Errorf("seed %d: a refresh still waits", m.seed)
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
