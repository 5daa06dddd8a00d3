package worker

import (
	"runtime/debug"
	"slices"
	"time"

	"joolctl/replication"
	"joolctl/session"
)

// storing is what stores the sessions of a table that arrives.
type storing struct {
	began     bool // the module is given sessions, or about to be
	injecting bool // injectSome is under way
	injection replication.Injection
	// before is the instance's number of sessions before, fresh how many of those to inject are new to it.
	before, fresh int
	refused       int  // of what was injected: the module does not have it
	limited       bool // more BIB entries of ours are in the way than may be removed at a time
	blocked       int  // sessions that are not injected because of BIB entries of ours
	report        ResyncReport
	// When all had arrived, was compared and was injected.
	receivedAt, comparedAt, injectedAt time.Time
}

// isStored reports whether everything that has arrived and could be compared is in the module.
func (in *incoming) isStored() bool { return !in.comparing && !in.injecting }

// beginToStore notes how the instance stands before it is given the first session. It returns false if the instance is
// another one by now, which ends the full sync.
func (r *resync) beginToStore(now time.Time) bool {
	in := r.in
	if in.began {
		return true
	}
	in.began = true
	in.injection = replication.NewInjection(in.base, &r.reported, &r.backlog)
	r.p.readKernel(now)
	if r.in != in {
		return false
	}
	in.before = r.p.sessions()
	r.p.knowledge.Hold(in.vector, now)
	r.p.peers.Stored(0, now)
	return true
}

// store removes the BIB entries that are in the way of a piece of a peer's table, and queues its sessions for the module.
func (r *resync) store(d replication.Difference, now time.Time) {
	in := r.in
	d.Keep(r.reported.EndComparison(), r.reported.Overflowed())
	r.removals.Spend(len(d.Remove), now)
	for _, m := range d.Remove {
		if err := r.p.module.AskRemoveBIB(m.Proto, m.Src4); err != nil {
			r.p.w.log.warn("an old BIB entry could not be removed", "protocol", m.Proto, "mask", m.Src4, "error", err)
		}
	}
	r.p.removed(d.Remove)
	if in.table != nil {
		in.table.Removed(d.Remove)
	}
	in.report.Had += d.Same
	in.report.Replaced += len(d.Remove)
	in.report.Collisions += d.Blocked
	in.limited, in.blocked = in.limited || d.Limited, in.blocked+d.Blocked
	if len(d.Inject) > 0 && r.beginToStore(now) {
		r.p.knowledge.Stores(in.from.ID, now)
		in.fresh += d.Fresh
		in.injection.Add(d.Inject)
		r.inject()
	}
}

// inject gives the module the queued sessions, unless that is under way.
func (r *resync) inject() {
	if in := r.in; !in.injecting {
		in.injecting = true
		r.injectSome()
	}
}

// injectSome gives the module the next sessions and gives way to the pumps.
func (r *resync) injectSome() {
	p, in := r.p, r.in
	more := p.injectFor(in)
	p.publishSync()
	if more {
		p.do.post(func() {
			if r.in == in {
				r.injectSome()
			}
		})
		return
	}
	in.injecting = false
	if r.phase == injecting {
		r.stored()
	}
}

// stored has given the module everything.
func (r *resync) stored() {
	p, in := r.p, r.in
	in.injectedAt = p.do.now()
	p.readKernel(in.injectedAt)
	if r.in != in {
		return // the instance is another one by now
	}
	if p.sessions() == in.before+in.fresh {
		r.done(p.do.now()) // the module has probably stored all of them
		return
	}
	p.releaseHeld()
	r.readBack()
}

// expireSoon is how soon a session may expire that counts as expired when the table is read back.
const expireSoon = 2 * time.Second

// readBack looks which of the injected sessions the module has refused in
// silence: their mask has come to belong to another one here.
func (r *resync) readBack() {
	in := r.in
	r.enter(checking, r.p.do.now(), time.Time{})
	injected := in.injection.All()
	r.p.do.readTable(r.p.sessions(), in.base, func() bool { return r.in != in }, func(own replication.Snapshot, err error) {
		if err != nil {
			r.done(r.p.do.now())
			return
		}
		passed := r.p.do.now().Sub(in.base).Milliseconds() + expireSoon.Milliseconds()
		r.p.do.background(func() {
			injected := slices.DeleteFunc(injected, func(rec session.Record) bool { return int64(rec.Expires()) <= passed })
			missing := len(replication.Absent(injected, own.Records))
			r.p.do.post(func() {
				if r.in == in {
					in.report.Collisions, in.refused = in.report.Collisions+missing, missing
					r.done(r.p.do.now())
				}
			})
		})
	})
}

func (r *resync) done(now time.Time) {
	in := r.in
	report := &in.report
	got, _ := in.Sessions()
	r.p.w.counters.collisions.Add(uint64(report.Collisions)) // not before: a later piece may unblock a session
	report.From, report.Why, report.Got, report.Injected, report.At = in.from.Address.String(), r.Cause, int(got), in.injection.Given, now
	report.Took, report.Receiving = now.Sub(in.base), in.receivedAt.Sub(in.base)
	report.Comparing, report.Injecting = in.comparedAt.Sub(in.receivedAt), in.injectedAt.Sub(in.comparedAt)
	r.Took(report.Took)
	r.verified = now
	r.p.module.ReadErrors() // they may say that there was no memory
	if in.merges {
		r.p.knowledge.Merge(in.vector, in.doubts, now)
		r.p.judgeClaims(in, now)
	}
	if report.Injected > in.refused && (r.Cause == replication.CauseShortfall || r.Cause == replication.CauseVerification) {
		r.p.missed(now) // other peers may lack these sessions, too, and do not know it
	}
	blocked := 0
	if in.limited {
		blocked = in.blocked
	}
	r.p.w.change(now, func(s *SyncState) { s.Blocked = blocked })
	// Other sessions may have been stored than those that a peer has more of.
	r.Count(r.Cause == replication.CauseShortfall || report.Injected <= in.refused, now)
	r.p.w.reportResync(*report)
	r.tried, r.stopped = nil, nil
	r.finish(now)
	if blocked > 0 {
		r.Want(replication.CauseBlocked, in.from, now)
	}
	r.p.wake(now)
}

// freeLater gives the memory of a large table back to the system.
func (p *pumps) freeLater(sessions int) {
	if sessions > largeTable {
		go debug.FreeOSMemory()
	}
}

// removed drops what waits to be sent of BIB entries that were removed. Their sessions have lost against a peer's.
func (p *pumps) removed(masks []replication.Mask) {
	if len(masks) == 0 {
		return
	}
	set := make(map[replication.Mask]struct{}, len(masks))
	for _, m := range masks {
		set[m] = struct{}{}
	}
	p.coalesce.Remove(set)
	p.retransmit.Remove(set, p.format)
}
