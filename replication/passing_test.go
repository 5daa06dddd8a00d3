package replication

import (
	"encoding/binary"
	"fmt"
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
