package replication

import (
	"slices"
	"time"

	"joolctl/syncwire"
)

// incoming is a full sync that arrives.
type incoming struct {
	id       uint32
	from     *Peer
	cause    string               // Schedule.Cause when it began; a resumed full sync may have another one
	asked    bool                 // the host has requested it, so what the sender lacks is returned
	returned bool                 // it returns what this host lacks, after the host has sent its table
	vector   []syncwire.Component // the sender's, from before it read its table
	merges   bool                 // the vector may be merged once all sessions are stored
	claimed  []syncwire.Component // the vector of the sender's HELLO
	doubts   int                  // Knowledge.Doubts when the comparison that vector is about began
	settings syncwire.Settings
	base     time.Time
	Assembly
	stopped time.Time // when it was stopped
	stalls  int       // pauses of StallFor in a row
	pieces
	storing
}

// Begin takes a BEGIN that arrived at the time came: the sessions grow older from then on.
func (r *Receiver) Begin(b *syncwire.Begin, from *Peer, came, now time.Time) {
	switch {
	case !b.For(r.knowledge.Self()):
		return
	case b.Sessions > MaxSessions:
		r.host.Emit(TableTooBig{From: from.Address, Sessions: b.Sessions})
		return
	}
	if b.FullSync == r.ignored {
		return // the sender repeats BEGIN
	}
	r.resume(b.FullSync, from, now)
	known := r.in != nil && r.in.id == b.FullSync
	if b.Sessions == 0 && b.Why == syncwire.WhyReturn && !known { // this host's full sync to it made both tables equal
		if vector := returnedVector(b, from); vector != nil {
			r.knowledge.Merge(vector, from.ServedDoubts, now)
		}
		from.Served = time.Time{}
		return
	}
	switch r.phase {
	case PhaseComparing, PhaseInjecting, PhaseChecking:
		return // the verdict shows whether another full sync is needed
	case PhaseCollecting:
		if r.in.from != from || !known && r.in.began {
			return
		}
	}
	// An answer may arrive after this host has given up, because one of the two hosts stalled.
	asked := b.Why == syncwire.WhyAnswer && len(b.Audience) > 0 && slices.Contains(r.tried, from.ID)
	if !known && !asked && !r.mayReceive(returns(b, from), now) {
		return
	}
	if r.Cause == "" {
		r.Cause = causeOf(b.Why)
	}
	if known {
		if r.in.Expect(b.Sessions) { // now the sender knows the number
			r.host.Progressed(now)
		}
		if !r.in.overdue(now) {
			r.due = now.Add(StallFor)
		}
		return
	}
	r.stopped = nil
	r.receive(b, from, asked, came, now)
}

// returns reports whether a full sync returns what this host lacks, after the host has sent its table.
func returns(b *syncwire.Begin, from *Peer) bool {
	return b.Why == syncwire.WhyReturn && !from.Served.IsZero()
}

// causeOf returns the cause of a full sync that the host has not requested.
func causeOf(why syncwire.Why) string {
	switch why {
	case syncwire.WhyReturn:
		return CauseReturned
	case syncwire.WhyAdvertise:
		return CauseAdvertised
	}
	return CauseOffered
}

// receive begins to receive a full sync.
func (r *Receiver) receive(b *syncwire.Begin, from *Peer, asked bool, came, now time.Time) {
	r.letThrough()
	r.in = &incoming{id: b.FullSync, from: from, cause: r.Cause, asked: asked, returned: returns(b, from), vector: b.Vector, merges: true, claimed: from.Vector(),
		doubts:   r.knowledge.Doubts(),
		settings: b.Settings, base: came, Assembly: NewAssembly(b.Sessions, b.SessionsPerBulk())}
	if b.Why == syncwire.WhyReturn {
		r.in.merges, r.in.doubts = returnedVector(b, from) != nil, from.ServedDoubts
		from.Served = time.Time{}
	}
	r.base = came
	r.knowledge.Wait(now)
	r.reported.Start()
	r.enter(PhaseCollecting, now, now.Add(StallFor))
	r.readOwn(now)
}

// letThrough notes that live datagrams do not wait for the full sync that begins, if it has such a cause.
func (r *Receiver) letThrough() { r.full = r.full || !Withholds(r.Cause) }

// overdue reports whether the sender has announced the full sync for so long that BULKs should arrive by now.
func (in *incoming) overdue(now time.Time) bool {
	got, expected := in.Sessions()
	return got == 0 && now.Sub(in.base) > ReadWithin+time.Duration(expected)*ReadSession
}

// returnedVector returns the vector of a full sync that returns sessions: it covers this host's table, which was compared, too.
// It returns nil if this host has not sent its table to the peer lately.
func returnedVector(b *syncwire.Begin, from *Peer) []syncwire.Component {
	if from.Served.IsZero() {
		return nil
	}
	return b.Vector
}

// mayReceive bounds how many full syncs are received that the host has not requested, and how much time they take: it reads its own
// table for each. Only one full sync returns sessions each time that the host has sent its table.
func (r *Receiver) mayReceive(returned bool, now time.Time) bool {
	if now.Sub(r.unasked[0]) < UnaskedIn || !returned && now.Before(r.unaskedUntil.Add(-CostFactor*UnaskedIn)) {
		return false
	}
	copy(r.unasked[:], r.unasked[1:])
	r.unasked[len(r.unasked)-1] = now
	return true
}

// charge accounts for the time that the full sync that ends has taken, if the host has not requested it.
func (r *Receiver) charge(now time.Time) {
	if r.in.asked || r.in.returned {
		return
	}
	spent := now.Sub(r.in.base)
	r.unaskedUntil = Earliest(Latest(r.unaskedUntil, now).Add(CostFactor*spent), now.Add(CostFactor*UnaskedIn+LongestWait))
}

// Bulk takes a BULK that arrived at the time came.
func (r *Receiver) Bulk(b *syncwire.Bulk, from *Peer, came, now time.Time) {
	r.resume(b.FullSync, from, now)
	in := r.in
	if r.phase != PhaseCollecting || in.from != from || in.id != b.FullSync {
		return
	}
	r.due = now.Add(StallFor) // the sender is there, even if it repeats what another peer has missed
	added, err := in.Add(b.Index, b.Records, came.Sub(in.base))
	if err != nil {
		r.host.Count(CountMalformed, 1)
	}
	if !added {
		return
	}
	in.stalls = 0
	r.host.Progressed(now)
	r.advance(now)
}

// End takes an END.
func (r *Receiver) End(e *syncwire.End, from *Peer, now time.Time) {
	r.resume(e.FullSync, from, now)
	in := r.in
	if r.phase != PhaseCollecting || in.from != from || in.id != e.FullSync || e.Sessions > MaxSessions {
		return
	}
	sound := in.End(e.Sessions, e.Bulks)
	if e.Doubtful {
		in.vector = OnlyOf(from.ID, in.vector)
	}
	switch {
	case !sound:
		r.abandon(now)
		return
	case in.Complete():
		r.advance(now)
		return
	}
	r.requestMissing(now)
	r.due = now.Add(StallFor)
}

// requestMissing requests the BULKs that are missing, or the last one, and END with it.
func (r *Receiver) requestMissing(now time.Time) {
	in := r.in
	r.host.Reply(&syncwire.Nack{To: in.from.ID, FullSync: in.id, Ranges: in.Missing()}, now)
}

// stalled requests what is missing, or gives up. A datagram that waits in the socket proves that the host is late, not the
// sender.
func (r *Receiver) stalled(now time.Time) {
	if r.host.Waiting() {
		r.due = now.Add(StallFor / 10)
		return
	}
	in := r.in
	in.stalls++
	if in.stalls > MaxStalls && in.isStored() {
		in.stopped, r.stopped = now, in
		if in.overdue(now) {
			r.ignored = in.id // only a BULK shows that there is something to receive
		}
		r.abandon(now)
		return
	}
	r.requestMissing(now)
	r.due = now.Add(StallFor)
}

// Gone takes a sender's word that it can't continue a full sync.
func (r *Receiver) Gone(g *syncwire.Gone, from *Peer, now time.Time) {
	if r.phase == PhaseCollecting && r.in.from == from && r.in.id == g.FullSync && g.To == r.knowledge.Self() {
		r.abandon(now)
	}
}

// resume continues a stopped full sync once its sender sends again, and keeps the BULKs that were received before. It reads
// the own table again, because the module has received live sessions meanwhile.
func (r *Receiver) resume(id uint32, from *Peer, now time.Time) {
	in := r.stopped
	if in == nil || in.id != id || in.from != from || r.phase != PhaseSettled && r.phase != PhaseAsking {
		return
	}
	got, expected := in.Sessions()
	r.host.Emit(SyncResumed{From: from.Address, Got: got, Expected: expected})
	r.in, r.stopped = in, nil
	r.base = in.base
	r.knowledge.Wait(now)
	if in.table != nil && in.table.Pending() {
		in.merges = false // the sessions that own BIB entries have blocked so far are not compared again
	}
	in.stalls, in.table, in.partial = 0, nil, in.Taken()
	if r.Cause == "" {
		r.Cause = CauseResumed
	}
	r.letThrough()
	r.reported.Restart()
	r.enter(PhaseCollecting, now, now.Add(StallFor))
	r.readOwn(now)
}

// abandon ends a full sync that cannot be completed. The sessions that are queued for the module are still stored, because the
// mappings that were in their way are removed.
func (r *Receiver) abandon(now time.Time) {
	r.host.Emit(SyncStopped{From: r.in.from.Address})
	if r.in.isStored() {
		r.next(now)
		return
	}
	r.in.abandoned = true
	r.enter(PhaseInjecting, now, time.Time{})
}

// abandoned asks the next peer once nothing of an abandoned full sync is queued any more.
func (r *Receiver) abandoned(now time.Time) {
	if r.in.isStored() {
		r.next(now)
	}
}

// next asks the next peer after an abandoned full sync: at once if this one was asked.
func (r *Receiver) next(now time.Time) {
	asked := r.in.asked
	r.gained(now)
	r.charge(now)
	r.in = nil
	if !asked && r.sync == syncwire.SyncYes {
		r.giveUp(now)
		return
	}
	r.release()
	r.ask(now)
}
