package worker

import (
	"time"

	"joolctl/replication"
	"joolctl/session"
	"joolctl/syncwire"
)

// leastPiece is how many sessions of a peer's table are compared at a time, at least, unless they are the last.
const leastPiece = 200 * syncwire.MaxBulk

// comparison is what compares a table that arrives with the own one, piece by piece.
type comparison struct {
	table   *replication.Comparison // with the own table; nil: that was not read yet
	reading int                     // how often the own table was begun to be read
	// whole is the own vector from before the own table was read, doubtsThen is Knowledge.Doubts then.
	whole      []syncwire.Component
	doubtsThen int
	// partial is true if the own table was read again after pieces had been compared: then nobody knows what the peer lacks.
	partial   bool
	comparing bool // a piece, beside the thread
	given     bool // back, what the peer lacks
}

// readOwn reads the own table beside what arrives.
func (r *resync) readOwn() {
	in, now := r.in, r.p.do.now()
	r.p.hasten(now) // sessions that this host returns are newer
	in.reading++
	in.whole, in.doubtsThen = r.p.knowledge.Whole(now), r.p.knowledge.Doubts()
	this := in.reading
	other := func() bool { return r.in != in || in.reading != this }
	tolerance := max(2*r.p.w.spec().RefreshPeriod, replication.MinTolerance)
	our := r.p.settings
	r.p.do.readTable(r.p.sessions(), in.base, other, func(own replication.Snapshot, err error) {
		if err != nil {
			r.p.w.log.warn("reading the own session table", "error", err)
			why, about, now := r.Cause, r.About, r.p.do.now()
			r.Count(false, now)
			r.finish(now)
			r.Want(why, about, now)
			return
		}
		r.p.do.background(func() { // sorting takes longer than the pumps may wait
			t := replication.NewComparison(own.Records, in.settings, our, tolerance.Milliseconds())
			r.p.do.post(func() {
				if !other() {
					in.table = t
					r.advance(r.p.do.now())
				}
			})
		})
	})
}

// advance compares and stores as much of the table that arrives as is there.
func (r *resync) advance(now time.Time) {
	in := r.in
	if in.Complete() && r.phase == collecting {
		if got, expected := in.Sessions(); got != expected {
			r.abandon(now)
			return
		}
		in.receivedAt = now
		r.enter(comparing, now, time.Time{})
	}
	switch {
	case in.table == nil || in.comparing:
	case in.Complete() && in.Ready() == 0:
		r.give()
	case in.Complete() || in.Ready() >= max(r.piece, in.table.Least()):
		r.comparePiece(now)
	}
}

// comparePiece compares the BULKs that follow those that were compared.
func (r *resync) comparePiece(now time.Time) {
	in := r.in
	piece, rest, most := in.Take(), in.Rest(), r.removals.Left(now)
	reported := r.reported.BeginComparison(!in.table.Empty())
	in.comparing = true
	r.p.do.background(func() {
		d := in.table.Piece(piece, rest, reported, most)
		r.p.do.post(func() {
			if r.in == in {
				in.comparing = false
				r.compared(d)
			}
		})
	})
}

// compared stores what the comparison of a piece found, and goes on.
func (r *resync) compared(d replication.Difference) {
	in, now := r.in, r.p.do.now()
	if r.store(d, now); r.in == in {
		r.advance(now)
	}
}

// give sends back what the peer lacks, once all pieces are compared.
func (r *resync) give() {
	in := r.in
	in.comparing = true
	r.p.do.background(func() {
		lacked := in.table.Give()
		r.p.do.post(func() {
			if r.in == in {
				r.gave(lacked)
			}
		})
	})
}

// gave queues what the peer lacks.
func (r *resync) gave(lacked []session.Record) {
	now := r.p.do.now()
	in := r.in
	in.given, in.comparedAt, in.table = true, now, nil
	switch {
	case !in.asked:
	case in.partial: // the peer has to ask
		r.p.sender.Return(in.from, replication.Snapshot{Base: in.base}, nil, now)
	case len(lacked) > 0 || !replication.Covered(in.vector, in.whole):
		in.report.GaveBack = len(lacked)
		has := replication.Union(in.whole, in.vector)
		if in.doubtsThen != r.p.knowledge.Doubts() {
			has = in.whole[:1] // the own table may have lacked sessions when it was read
		}
		r.p.sender.Return(in.from, replication.Snapshot{Records: lacked, Base: in.base}, has, now)
	}
	if !r.beginToStore(now) {
		return
	}
	r.enter(injecting, now, time.Time{})
	r.inject()
}
