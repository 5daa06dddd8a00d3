package replication

import (
	"encoding/binary"
	"testing"
	"time"

	"joolctl/session"
)

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
