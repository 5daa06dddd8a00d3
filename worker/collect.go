package worker

import (
	"slices"
	"time"

	"joolctl/replication"
	"joolctl/syncwire"
)

// incoming is a resync that arrives.
type incoming struct {
	id       uint32
	from     *replication.Peer
	asked    bool                 // an answer to what we asked: what its sender lacks goes back
	vector   []syncwire.Component // the sender's, from before it read its table
	merges   bool                 // the vector may be merged once all sessions are stored
	claimed  []syncwire.Component // what the sender says of other origins
	doubts   int                  // Knowledge.Doubts when the comparison that vector is about began
	settings syncwire.Settings
	base     time.Time
	replication.Assembly
	stopped time.Time // when nothing more came
	stalls  int
	comparison
	storing
}

// begin takes a BEGIN. Its time is when it came, not when there was time to read
// it: the sessions grow older meanwhile.
func (r *resync) begin(b *syncwire.Begin, from *replication.Peer, came, now time.Time) {
	if !b.For(r.p.knowledge.Self()) || b.Sessions > MaxSessions {
		return
	}
	r.resume(b.Resync, from, now)
	known := r.in != nil && r.in.id == b.Resync
	if b.Sessions == 0 && b.Why == syncwire.WhyReturn && !known { // it lacks nothing that this host has sent, and has no more
		if vector := returned(b, from); vector != nil {
			r.p.knowledge.Merge(vector, from.ServedDoubts, now)
		}
		from.Served = time.Time{}
		return
	}
	switch r.phase {
	case comparing, injecting, checking:
		return // it comes again when it is needed: see peers' session counts
	case collecting:
		if r.in.from != from || !known && r.in.began {
			return
		}
	}
	// It may come when we wait no more, because one side stood still.
	asked := b.Why == syncwire.WhyAnswer && len(b.Audience) > 0 && slices.Contains(r.tried, from.ID)
	if !known && !asked && !r.mayTake(now) {
		return
	}
	if r.Cause == "" {
		r.Cause = map[syncwire.Why]string{syncwire.WhyReturn: replication.CauseReturned, syncwire.WhyAdvertise: replication.CauseAdvertised}[b.Why]
		if r.Cause == "" {
			r.Cause = replication.CauseOffered
		}
	}
	if in := r.in; known {
		r.due = now.Add(replication.StallFor)
		if in.Expect(b.Sessions) { // now the sender knows the number
			in.stalls = 0
			r.p.publishSync()
		}
		return
	}
	r.stopped = nil
	// What is passed on meanwhile needn't wait: next to nothing will be injected.
	r.full = r.full || r.Cause == replication.CauseVerification
	r.in = &incoming{id: b.Resync, from: from, asked: asked, vector: b.Vector, merges: true, claimed: from.Vector(), doubts: r.p.knowledge.Doubts(),
		settings: b.Settings, base: came, Assembly: replication.NewAssembly(b.Sessions)}
	if b.Why == syncwire.WhyReturn {
		r.in.merges, r.in.doubts = returned(b, from) != nil, from.ServedDoubts
		from.Served = time.Time{}
	}
	r.base = came
	r.p.knowledge.Wait(now)
	r.reported.Start()
	r.enter(collecting, now, now.Add(replication.StallFor))
	r.readOwn()
}

// returned is the vector of a return: that of a table with which it was compared, this host's, and what is returned. nil:
// this host has sent none lately.
func returned(b *syncwire.Begin, from *replication.Peer) []syncwire.Component {
	if from.Served.IsZero() {
		return nil
	}
	return b.Vector
}

// mayTake bounds how many resyncs are taken that nobody asked for: each has the
// own table read.
func (r *resync) mayTake(now time.Time) bool {
	if now.Sub(r.taken[0]) < takenIn {
		return false
	}
	copy(r.taken[:], r.taken[1:])
	r.taken[len(r.taken)-1] = now
	return true
}

// bulk takes a BULK that came at came.
func (r *resync) bulk(b *syncwire.Bulk, from *replication.Peer, came, now time.Time) {
	r.resume(b.Resync, from, now)
	in := r.in
	if r.phase != collecting || in.from != from || in.id != b.Resync {
		return
	}
	r.due = now.Add(replication.StallFor) // the sender is there, even if it repeats what another peer has missed
	added, err := in.Add(b.Index, b.Records, came.Sub(in.base))
	if err != nil {
		r.p.w.counters.malformed.Add(1)
	}
	if !added {
		return
	}
	in.stalls = 0
	r.p.publishSync()
	r.advance(now)
}

// end takes an END.
func (r *resync) end(e *syncwire.End, from *replication.Peer, now time.Time) {
	r.resume(e.Resync, from, now)
	in := r.in
	if r.phase != collecting || in.from != from || in.id != e.Resync || e.Sessions > MaxSessions {
		return
	}
	sound := in.End(e.Sessions, e.Bulks)
	if e.Doubtful {
		in.vector = replication.OnlyOf(from.ID, in.vector)
	}
	switch {
	case !sound:
		r.abandon(now)
		return
	case in.Complete():
		r.advance(now)
		return
	}
	r.askMissing(now)
	r.due = now.Add(replication.StallFor)
}

// askMissing requests the BULKs that are missing, or the last one, and END with it.
func (r *resync) askMissing(now time.Time) {
	in := r.in
	r.p.answer(&syncwire.Nack{To: in.from.ID, Resync: in.id, Ranges: in.Missing()}, now)
}

// stalled asks again, or gives up. A datagram that waits in the socket proves that the host is late, not the sender.
func (r *resync) stalled(now time.Time) {
	if r.p.do.waits() {
		r.due = now.Add(replication.StallFor / 10)
		return
	}
	in := r.in
	in.stalls++
	if in.stalls > stalls && in.isStored() {
		in.stopped, r.stopped = now, in
		r.abandon(now)
		return
	}
	r.askMissing(now)
	r.due = now.Add(replication.StallFor)
}

// gone takes the word of the sender that it can't go on.
func (r *resync) gone(g *syncwire.Gone, now time.Time) {
	if r.phase == collecting && r.in.id == g.Resync && g.To == r.p.knowledge.Self() {
		r.abandon(now)
	}
}

// resume continues a stopped resync once its sender sends again, and keeps the BULKs that were received before. It reads
// the own table again, because the module has received live sessions meanwhile.
func (r *resync) resume(id uint32, from *replication.Peer, now time.Time) {
	in := r.stopped
	if in == nil || in.id != id || in.from != from || r.phase != settled && r.phase != asking {
		return
	}
	got, expected := in.Sessions()
	r.p.w.log.warn("the sender of a stopped resync sends again; keeping what was received", "from", from.Address, "got", got, "of", expected)
	r.in, r.stopped = in, nil
	r.base = in.base
	r.p.knowledge.Wait(now)
	in.stalls, in.table, in.partial = 0, nil, in.Taken()
	if r.Cause == "" {
		r.Cause = replication.CauseResumed
	}
	r.reported.Restart()
	r.enter(collecting, now, now.Add(replication.StallFor))
	r.readOwn()
}

// abandon tries the next peer: at once if this one was asked.
func (r *resync) abandon(now time.Time) {
	r.p.w.log.warn("a resync stopped in the middle; asking another peer", "from", r.in.from.Address)
	asked, why, about := r.in.asked, r.Cause, r.About
	r.in = nil
	if !asked && r.sync == syncwire.SyncYes {
		r.Count(false, now)
		r.finish(now)
		r.Want(why, about, now)
		return
	}
	r.p.releaseHeld()
	r.ask(now)
}
