package replication

import (
	"time"

	"joolctl/session"
	"joolctl/syncwire"
)

// pieces compares a table that arrives with the own one, piece by piece.
type pieces struct {
	table   *Comparison // with the own table; nil: that was not read yet
	reading int         // how often the own table was begun to be read
	// whole is the own vector from before the own table was read, doubtsThen is Knowledge.Doubts then.
	whole      []syncwire.Component
	doubtsThen int
	// partial is true if the own table was read again after pieces had been compared: then this host cannot find what the peer
	// lacks.
	partial   bool
	comparing bool // a piece, beside the thread
}

// readOwn reads the own table beside what arrives.
func (r *Receiver) readOwn(now time.Time) {
	in := r.in
	r.host.SendRefreshes() // sessions that this host returns are newer
	in.reading++
	in.whole, in.doubtsThen = r.knowledge.Whole(now), r.knowledge.Doubts()
	this := in.reading
	other := func() bool { return r.in != in || in.reading != this }
	tolerance := max(r.Tolerance, MinTolerance)
	own := *r.host.Settings()
	r.host.ReadTable(r.host.Sessions(), in.base, other, func(t Snapshot, err error) {
		if err != nil {
			r.host.Emit(OwnTableUnread{err})
			r.ignored = in.id
			r.giveUp(r.host.Now())
			return
		}
		r.host.Background(func() { // sorting takes longer than the thread may be busy
			table := NewComparison(t.Records, in.settings, own, tolerance.Milliseconds())
			r.host.Post(func() {
				if !other() {
					in.table = table
					r.advance(r.host.Now())
				}
			})
		})
	})
}

// advance compares and stores as much as possible of the table that arrives.
func (r *Receiver) advance(now time.Time) {
	in := r.in
	if in.Complete() && r.phase == PhaseCollecting {
		if got, expected := in.Sessions(); got != expected {
			r.abandon(now)
			return
		}
		in.receivedAt = now
		r.enter(PhaseComparing, now, time.Time{})
	}
	switch {
	case in.table == nil || in.comparing:
	case in.Complete() && in.Ready() == 0 && !in.table.Pending():
		r.give()
	case in.Complete() || in.Ready() >= max(r.Piece, in.table.Least()):
		r.comparePiece(now)
	}
}

// comparePiece compares the BULKs that follow those that were compared.
func (r *Receiver) comparePiece(now time.Time) {
	in := r.in
	piece, rest, most := in.Take(), in.Rest(), r.removals.Left(now)
	if !in.Complete() {
		rest = max(rest, 1)
	}
	reported := r.reported.BeginComparison()
	in.comparing = true
	r.host.Background(func() {
		d := in.table.Piece(piece, rest, reported, most)
		r.host.Post(func() {
			if r.in == in {
				in.comparing = false
				r.compared(d)
			}
		})
	})
}

// compared stores what the comparison of a piece found, and continues.
func (r *Receiver) compared(d Difference) {
	in, now := r.in, r.host.Now()
	if in.abandoned {
		r.abandoned(now)
		return
	}
	if r.store(d, now); r.in == in {
		r.advance(now)
	}
}

// give returns what the peer lacks, once all pieces are compared.
func (r *Receiver) give() {
	in := r.in
	in.comparing = true
	r.host.Background(func() {
		lacked := in.table.Give()
		r.host.Post(func() {
			if r.in == in {
				r.gave(lacked)
			}
		})
	})
}

// gave queues what the peer lacks.
func (r *Receiver) gave(lacked []session.Record) {
	now := r.host.Now()
	in := r.in
	in.comparedAt, in.table = now, nil
	switch {
	case !in.asked:
	case in.partial: // the peer has to request it
		r.sender.Return(in.from, Snapshot{Base: in.base}, nil, now)
	case len(lacked) > 0 || !Covered(in.vector, in.whole):
		in.report.GaveBack = len(lacked)
		has := Union(in.whole, in.vector)
		if in.doubtsThen != r.knowledge.Doubts() {
			has = in.whole[:1] // the own table may have lacked sessions when it was read
		}
		r.sender.Return(in.from, Snapshot{Records: lacked, Base: in.base}, has, now)
	}
	if !r.beginToStore(now) {
		return
	}
	r.enter(PhaseInjecting, now, time.Time{})
	r.inject()
}
