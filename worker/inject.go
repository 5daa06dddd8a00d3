package worker

import (
	"maps"
	"runtime/debug"
	"time"

	"joolctl/replication"
)

// complete has all that the peer had to send.
func (r *resync) complete(now time.Time) {
	r.in.received = now
	r.enter(comparing, now, time.Time{})
	if r.in.ownRead {
		r.compare()
	}
}

// compare compares the peer's table with the own one.
func (r *resync) compare() {
	in, our, touched := r.in, r.p.settings, maps.Clone(r.touched)
	r.lately = nil
	most := r.removals.Left(r.p.do.now())
	tolerance := max(2*r.p.w.spec().RefreshPeriod, replication.MinTolerance)
	r.p.do.background(func() { // sorting takes longer than the pumps may wait
		theirs, own := replication.Unique(in.Records(), in.settings), replication.Unique(in.own, our)
		d := replication.Compare(theirs, own, in.settings, our, tolerance.Milliseconds())
		d.Inject = replication.Rebase(d.Inject, in.settings, our)
		d.ResolveConflicts(own, our, touched, most)
		replication.OldestFirst(d.Inject, our)
		replication.OldestFirst(d.Give, our)
		r.p.do.post(func() {
			if r.in == in {
				r.compared(d)
			}
		})
	})
}

// compared injects what the comparison found, and gives back.
func (r *resync) compared(d replication.Difference) {
	now := r.p.do.now()
	in := r.in
	got, _ := in.Sessions()
	report := ResyncReport{From: in.from.Address.String(), Why: r.why, Got: int(got), Had: d.Same}
	d.Keep(r.lately, r.overflowed)
	if in.asked && (len(d.Give) > 0 || !replication.Covered(in.vector, in.whole)) {
		report.GaveBack = len(d.Give)
		has := replication.Union(in.whole, in.vector)
		if in.wholeDoubts != r.p.doubts {
			has = in.whole[:1] // the own table may have lacked sessions when it was read
		}
		r.p.answers.giveBack(in.from, table{d.Give, in.base}, has, now)
	}
	r.removals.Spend(len(d.Remove), now)
	for _, m := range d.Remove {
		if err := r.p.module.AskRemoveBIB(m.Proto, m.Src4); err != nil {
			r.p.w.log.warn("an old BIB entry could not be removed", "protocol", m.Proto, "mask", m.Src4, "error", err)
		}
	}
	report.Replaced, report.Collisions = len(d.Remove), d.Blocked
	r.p.w.counters.collisions.Add(uint64(d.Blocked))
	r.p.readKernel(now)
	in.before, in.fresh, in.limited, in.blocked = r.p.sessions(), d.Fresh, d.Limited, d.Blocked
	r.p.vector.Hold(r.p.others(in.vector), now, r.p.liveOrigin(now))
	if len(d.Inject) > 0 {
		r.p.stores(in.from.ID, now)
	}
	in.Release()
	in.own, in.compared = nil, now // what is left of both tables is in d
	r.injection = injection{records: d.Inject, base: in.base, fresher: r.touched, overflowed: &r.overflowed, waiting: r.waiting}
	r.enter(injecting, now, time.Time{})
	r.injectSome(&report)
}

// injectSome gives the module the next sessions and gives way to the pumps.
func (r *resync) injectSome(report *ResyncReport) {
	p := r.p
	more := r.injection.step(p)
	p.publishSync()
	if more {
		in := r.in
		p.do.post(func() {
			if r.in == in {
				r.injectSome(report)
			}
		})
		return
	}
	report.Injected = r.injection.given
	r.in.injected = p.do.now()
	p.readKernel(p.do.now())
	if p.sessions() == r.in.before+r.in.fresh {
		r.done(report, r.p.do.now()) // the count alone proves that each has its place
		return
	}
	p.releaseHeld()
	r.readBack(report)
}

// readBack looks which of the injected sessions the module has refused in
// silence: their mask has come to belong to another one here.
func (r *resync) readBack(report *ResyncReport) {
	in := r.in
	r.enter(checking, r.p.do.now(), time.Time{})
	injected := r.injection.records
	r.p.do.readTable(r.p.sessions(), in.base, func() bool { return r.in != in }, func(own table, err error) {
		if err != nil {
			r.done(report, r.p.do.now())
			return
		}
		r.p.do.background(func() {
			missing := len(replication.Absent(injected, own.records))
			r.p.do.post(func() {
				if r.in == in {
					report.Collisions, in.refused = report.Collisions+missing, missing
					r.p.w.counters.collisions.Add(uint64(missing))
					r.done(report, r.p.do.now())
				}
			})
		})
	})
}

func (r *resync) done(report *ResyncReport, now time.Time) {
	in := r.in
	report.At = now
	report.Took, report.Receiving = now.Sub(in.base), in.received.Sub(in.base)
	report.Comparing, report.Injecting = in.compared.Sub(in.received), in.injected.Sub(in.compared)
	r.cost, r.verified = report.Took, now
	r.p.module.ReadErrors() // they may say that there was no memory
	if in.merges {
		r.p.merge(in.vector, in.doubts, now)
		r.p.judgeClaims(in, now)
	}
	if report.Injected > in.refused && (r.why == whyShort || r.why == whyVerify) {
		r.p.missed(now) // other peers may lack these sessions, too, and do not know it
	}
	blocked := 0
	if in.limited {
		blocked = in.blocked
	}
	r.p.w.change(now, func(s *SyncState) { s.Blocked = blocked })
	// Other sessions may have been stored than those that a peer has more of.
	r.paused(r.why == whyShort || report.Injected <= in.refused, now)
	r.p.w.reportResync(*report)
	r.tried, r.stopped = nil, nil
	r.finish(now)
	if in.limited {
		r.want(whyInTheWay, in.from, now)
	}
	r.p.wake(now)
}

// freeLater gives the memory of a large table back to the system.
func (p *pumps) freeLater(sessions int) {
	if sessions > largeTable {
		go debug.FreeOSMemory()
	}
}
