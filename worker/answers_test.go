package worker

import (
	"slices"
	"testing"
	"time"

	"joolctl/replication"
	"joolctl/syncwire"
)

// reader is a host whose table takes a while to be read, in virtual time, and whose datagrams go nowhere.
type reader struct {
	*answers
	now   time.Time
	takes time.Duration // to read the table
	table table
	read  time.Time // when it will have been read
	busy  time.Duration
	sent  int // answers
}

func newReader(takes time.Duration) *reader {
	p := newPumps(&Worker{})
	p.scratch = newScratch().(*scratch)
	p.answers.p = p
	return &reader{answers: &p.answers, now: time.Unix(1_000_000, 0), takes: takes, table: table{records: sessionsAt(0, 100*syncwire.MaxBulk)}}
}

// run lets time pass, in steps of so long as BULKs are apart.
func (r *reader) run(d time.Duration, each func()) {
	for end := r.now.Add(d); r.now.Before(end); r.now = r.now.Add(replication.TransferTick) {
		each()
		before := r.current
		r.tick(r.now)
		switch c := r.current; {
		case c == nil:
			if before != nil {
				r.sent++
			}
			continue
		case c != before:
			r.table.base, r.read = r.now, r.now.Add(r.takes)
		case c.reading && !r.now.Before(r.read):
			c.table, c.reading = r.table, false
			r.start(r.now)
		}
		r.busy += replication.TransferTick
	}
}

// TestSolicitCost has forgers ask for the table all the time.
func TestSolicitCost(t *testing.T) {
	const hour = time.Hour
	for _, takes := range []time.Duration{10 * time.Millisecond, time.Second, 10 * time.Second} {
		for _, askers := range []uint32{1, 50} {
			r := newReader(takes)
			i := uint32(0)
			r.run(hour, func() {
				i++
				r.solicited(syncwire.ID(1+i%askers), r.now)
			})
			if most := hour*3/10 + answersInARow*takes; r.busy > most {
				t.Errorf("%d askers, a table that is read in %v: busy for %v of an hour", askers, takes, r.busy)
			}
			if r.busy < hour/20 {
				t.Errorf("%d askers, a table that is read in %v: busy for only %v of an hour", askers, takes, r.busy)
			}
			// The answer for which they have asked is for another peer, too.
			for !r.begin.IsZero() || r.current != nil {
				r.run(replication.TransferTick, func() {})
			}
			for range 50 {
				i++
				r.solicited(syncwire.ID(1+i%askers), r.now)
			}
			r.solicited(1000, r.now)
			asked, waited := r.now, time.Duration(0)
			r.run(2*longestWait, func() {
				i++
				r.solicited(1+syncwire.ID(i%askers), r.now)
				if c := r.current; waited == 0 && c != nil && (len(c.audience) == 0 || slices.Contains(c.audience, 1000)) {
					waited = r.now.Sub(asked)
				}
			})
			if most := costFactor*2*takes + takes + time.Second; waited == 0 || waited > most {
				t.Errorf("%d askers, a table that is read in %v: another peer waits for %v", askers, takes, waited)
			}
		}
	}
}

// TestSecondAskers has peers ask one after the other: each of the first ones has its answer without a pause.
func TestSecondAskers(t *testing.T) {
	const takes = time.Second
	for _, c := range []struct {
		name  string
		after time.Duration // between two of them
		peers int
		want  int // answers
		most  time.Duration
	}{
		{"together", 0, 5, 1, takes},
		{"while the first is answered", takes / 10, 5, 2, 2 * takes},
		{"behind the first", takes * 3 / 2, 3, 3, 3 * takes * 3 / 2},
	} {
		r := newReader(takes)
		next, id := r.now, syncwire.ID(1)
		r.run(c.most+time.Second/2, func() {
			for int(id) <= c.peers && !r.now.Before(next) {
				r.solicited(id, r.now)
				id, next = id+1, next.Add(c.after)
			}
		})
		if r.sent != c.want || !r.begin.IsZero() {
			t.Errorf("%s: %d answers in time, want %d", c.name, r.sent, c.want)
		}
	}
}

// TestAnswersOfOurOwn: what a host offers or an operator wants does not wait because peers have asked too often.
func TestAnswersOfOurOwn(t *testing.T) {
	r := newReader(time.Second)
	r.run(time.Minute, func() { r.solicited(1, r.now) })
	for r.current != nil {
		r.run(replication.TransferTick, func() {})
	}
	r.solicited(1, r.now)
	if wait := r.mayBegin().Sub(r.now); wait < time.Second {
		t.Errorf("the next asker waits %v", wait)
	}
	r.advertise(r.now)
	if wait := r.mayBegin().Sub(r.now); wait > gatherAskers {
		t.Errorf("the operator waits %v", wait)
	}
}
