package replication

import (
	"slices"
	"time"

	"joolctl/session"
)

// storing stores the sessions of a table that arrives.
type storing struct {
	began     bool // the module has got sessions, or is about to get some
	injecting bool // injectSome is under way
	abandoned bool // the full sync ends when the queued sessions are stored
	injection Injection
	// before is the module's number of sessions before, fresh how many of those to inject are new to it.
	before, fresh int
	refused       int  // injected sessions that the module does not have
	unchecked     bool // the table could not be read back
	limited       bool // more BIB entries are in the way than may be removed at a time
	blocked       int  // sessions that are not injected because of BIB entries
	report        SyncReport
	// When all had arrived, was compared and was injected.
	receivedAt, comparedAt, injectedAt time.Time
}

// SyncReport is the result of a full sync, in sessions.
type SyncReport struct {
	From       string
	Why        string
	Got        int
	Had        int
	Injected   int
	Replaced   int // BIB entries that were removed because of newer ones
	Collisions int
	GaveBack   int
	// At is when it ended.
	At time.Time
	// Took is the time from BEGIN to the end; the others are its parts.
	Took      time.Duration
	Receiving time.Duration
	Comparing time.Duration
	Injecting time.Duration
}

// isStored reports whether everything that has arrived and could be compared is in the module.
func (in *incoming) isStored() bool { return !in.comparing && !in.injecting }

// removes reports whether the full sync under way has removed BIB entries, and sessions with them.
func (r *Receiver) removes() bool { return r.in != nil && r.in.report.Replaced > 0 }

// beginToStore notes the state of the module before it gets the first session. It returns false if the instance is another
// one by now, which ends the full sync.
func (r *Receiver) beginToStore(now time.Time) bool {
	in := r.in
	if in.began {
		return true
	}
	in.began = true
	in.injection = NewInjection(in.base, &r.reported, &r.backlog)
	r.host.ReadCounters(now)
	if r.in != in {
		return false
	}
	in.before = r.host.Sessions()
	r.knowledge.RaiseHighest(in.vector, now)
	r.peers.Stored(0, now)
	return true
}

// store removes the BIB entries that are in the way of a piece of a peer's table, and queues its sessions for the module.
func (r *Receiver) store(d Difference, now time.Time) {
	in := r.in
	if len(d.Inject) > 0 {
		r.host.ReadCounters(now) // the module may have dropped reports of sessions that the comparison calls older
		if r.in != in {
			return // the instance is another one by now
		}
	}
	d.Keep(r.reported.EndComparison(), r.reported.Overflowed())
	r.removals.Spend(len(d.Remove), now)
	in.report.Replaced += len(d.Remove)
	r.host.RemoveBIB(d.Remove)
	if in.table != nil {
		in.table.Removed(d.Remove)
	}
	in.report.Had += d.Same
	in.report.Collisions += d.Blocked
	in.limited, in.blocked = in.limited || d.Limited, in.blocked+d.Blocked
	if len(d.Inject) > 0 && r.beginToStore(now) {
		r.knowledge.Stores(in.from.ID, now)
		in.fresh += d.Fresh
		in.injection.Free(d.Remove, d.hosts)
		in.injection.Add(d.Inject)
		r.inject()
	}
}

// inject gives the module the queued sessions, unless that is under way.
func (r *Receiver) inject() {
	if in := r.in; !in.injecting {
		in.injecting = true
		r.injectSome()
	}
}

// injectSome gives the module the next sessions, and continues after other work of the thread. The counters show before whether the module
// has dropped reports: the own table may have newer sessions then.
func (r *Receiver) injectSome() {
	in := r.in
	r.host.ReadCounters(r.host.Now())
	if r.in != in {
		return // the instance is another one by now
	}
	more := r.host.Inject(&in.injection)
	r.host.Progressed(r.host.Now())
	if more {
		r.host.Post(func() {
			if r.in == in {
				r.injectSome()
			}
		})
		return
	}
	in.injecting = false
	switch {
	case in.abandoned:
		r.abandoned(r.host.Now())
	case r.phase == PhaseInjecting:
		r.stored()
	}
}

// stored has given the module everything.
func (r *Receiver) stored() {
	in := r.in
	in.injectedAt = r.host.Now()
	r.host.ReadCounters(in.injectedAt)
	if r.in != in {
		return // the instance is another one by now
	}
	if r.host.Sessions() == in.before+in.fresh {
		r.done(r.host.Now()) // the module has probably stored all of them
		return
	}
	r.release()
	r.readBack()
}

// expireSoon is how soon a session may expire that counts as expired when the table is read back.
const expireSoon = 2 * time.Second

// readBack finds the injected sessions that the module has refused in silence, because another session of the own table has
// their mask.
func (r *Receiver) readBack() {
	in := r.in
	r.enter(PhaseChecking, r.host.Now(), time.Time{})
	injected := in.injection.All()
	r.host.ReadTable(r.host.Sessions(), in.base, func() bool { return r.in != in }, func(own Snapshot, err error) {
		if err != nil {
			r.host.Emit(OwnTableUnread{err})
			in.unchecked = true
			r.done(r.host.Now())
			return
		}
		passed := r.host.Now().Sub(in.base).Milliseconds() + expireSoon.Milliseconds()
		r.host.Background(func() {
			injected := slices.DeleteFunc(injected, func(rec session.Record) bool { return int64(rec.Expires()) <= passed })
			missing := len(Absent(injected, own.Records))
			r.host.Post(func() {
				if r.in == in {
					in.report.Collisions, in.refused = in.report.Collisions+missing, missing
					r.done(r.host.Now())
				}
			})
		})
	})
}

// done ends a full sync that is stored.
func (r *Receiver) done(now time.Time) {
	in := r.in
	report := &in.report
	got, _ := in.Sessions()
	report.From, report.Why, report.Got, report.Injected, report.At = in.from.Address.String(), r.Cause, int(got), in.injection.Given, now
	report.Took, report.Receiving = now.Sub(in.base), in.receivedAt.Sub(in.base)
	report.Comparing, report.Injecting = in.comparedAt.Sub(in.receivedAt), in.injectedAt.Sub(in.comparedAt)
	r.Took(report.Took)
	r.verified = now
	r.host.ReadErrors() // they may say that there was no memory
	switch {
	case in.unchecked: // the module may have refused sessions
		r.knowledge.Forget(in.from.ID)
	case in.merges:
		r.knowledge.Merge(in.vector, in.doubts, now)
		if in.asked {
			r.host.Count(CountIgnoredClaims, r.knowledge.JudgeClaims(in.from, in.claimed, r.Look(now)))
		}
	}
	since := now
	r.blocked = slices.DeleteFunc(r.blocked, func(b blockedSessions) bool {
		if b.by == in.from {
			since = b.since
		}
		return b.by == in.from
	})
	if in.limited && in.blocked > 0 {
		r.blocked = append(r.blocked, blockedSessions{in.from, in.blocked, since})
	}
	r.knowledge.Block(len(r.blocked) > 0)
	r.Count(r.lasts(now), now)
	r.host.Emit(SyncEnded{*report}) // not before: a later piece may unblock a session
	r.tried, r.stopped = nil, nil
	r.finish(now)
	r.wantBlocked(now)
	r.host.Wake(now)
}

// gained notes what the full sync that ends has stored. If no vector and no live datagram has shown that these sessions were
// missing, other peers may lack them, too, and do not know it.
func (r *Receiver) gained(now time.Time) {
	found := r.in.injection.Given - r.in.injection.Heard - r.in.refused
	if found > 0 && (r.in.cause == CauseLargerTable || r.in.cause == CauseVerification) {
		r.host.Count(CountFound, uint64(found))
		r.Missed(now)
	}
}

// lasts reports whether the full sync that is stored leaves the difference that was its cause.
func (r *Receiver) lasts(now time.Time) bool {
	switch stored := r.in.injection.Given > r.in.refused; {
	case r.Cause == CauseLargerTable:
		return true // other sessions may have been stored than those that the peer has more of
	case r.Cause == CauseLacks && !stored:
		r.Look(now)
		return slices.ContainsFunc(r.knowledge.Lacks(), func(l Lack) bool { return l.Peer == r.About && !l.Pending })
	default:
		return !stored
	}
}

// blockedSessions says how many sessions of a peer are not stored because of the limit on removals.
type blockedSessions struct {
	by       *Peer
	sessions int
	since    time.Time // since when there have been some
}

// wantBlocked wants a full sync for the sessions that were not stored because of the limit on removals, unless another one is
// wanted first.
func (r *Receiver) wantBlocked(now time.Time) {
	if r.loseBlocked(now); r.phase == PhaseSettled && r.Cause == "" {
		for _, b := range r.blocked {
			r.Want(CauseBlocked, b.by, now) // the one that is due first stays
		}
	}
}

// loseBlocked forgets the sessions that were not stored because of the limit on removals if their peer is gone: no peer has them
// for this host.
func (r *Receiver) loseBlocked(now time.Time) {
	lives := func(b blockedSessions) bool { return r.peers.WithID(b.by.ID) == b.by && b.by.Live(now) }
	if !slices.ContainsFunc(r.blocked, func(b blockedSessions) bool { return !lives(b) }) {
		return
	}
	r.forgetBlocked(lives)
	r.host.Progressed(now)
}

// forgetBlocked forgets the sessions that were not stored because of the limit on removals, but for those that keep returns true for;
// nil: all. The vector claims them, so the host needs a full sync once it hears their peer again.
func (r *Receiver) forgetBlocked(keep func(blockedSessions) bool) {
	r.blocked = slices.DeleteFunc(r.blocked, func(b blockedSessions) bool {
		if keep != nil && keep(b) {
			return false
		}
		r.knowledge.Forget(b.by.ID)
		if r.phase == PhaseSettled && r.Cause == CauseBlocked && r.About == b.by {
			r.Drop()
		}
		return true
	})
	r.knowledge.Block(len(r.blocked) > 0)
}
