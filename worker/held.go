package worker

import (
	"slices"
	"time"

	"joolctl/replication"
	"joolctl/session"
)

// hold keeps a live update, which may be a repeat, until the resync that is under way has ended: an old
// session costs the module a walk over every newer one. false: go on at once. Once
// there are too many, all go on, and the resync leaves their sessions alone.
func (r *resync) hold(entries []byte, repeat bool) bool {
	if r.phase < collecting || r.phase == checking {
		return false
	}
	if !r.full && r.heldSize+len(entries) > maxHeldBytes {
		r.full = true
		for _, before := range r.held {
			r.touchAll(before.entries)
		}
		r.p.releaseHeld()
	}
	if r.full {
		r.touchAll(entries)
		return false
	}
	r.held = append(r.held, update{slices.Clone(entries), r.p.do.now(), repeat})
	r.heldSize += len(entries)
	if r.waiting == nil {
		r.waiting = make(map[session.Key]*session.Record)
	}
	for f := session.ListFormat(entries); len(entries) > 0; entries = entries[f.EntryLen():] {
		rec := f.Record(entries)
		if key := rec.Key(); r.waiting[key] == nil {
			r.waiting[key] = nil
		}
	}
	return true
}

// update is a live update that waits.
type update struct {
	entries []byte
	came    time.Time
	repeat  bool
}

// releaseHeld lets the held updates go on, in their order, their times corrected.
func (p *pumps) releaseHeld() {
	held, injected := p.resync.held, p.resync.waiting
	p.resync.held, p.resync.heldSize, p.resync.waiting = nil, 0, nil
	risen := p.knowledge.Stored()
	before := p.resync.phase
	p.resync.phase = settled
	now := p.do.now()
	for _, u := range held {
		session.AgeList(u.entries, now.Sub(u.came))
		u.entries = p.withoutInjected(u.entries, injected, now.Sub(p.resync.base))
		if u.repeat {
			p.deliverRepeat(u.entries)
		} else {
			p.deliver(u.entries)
		}
	}
	p.toKernel()
	p.resync.phase = before
	if risen {
		p.helloSoon(now)
	}
}

// withoutInjected leaves out of a live update what is older than the record that the resync has injected: the peer's table
// may be younger than the update. later is the time that has passed since the resync's base. It moves the others to the front.
func (p *pumps) withoutInjected(entries []byte, injected map[session.Key]*session.Record, later time.Duration) []byte {
	f := session.ListFormat(entries)
	size := f.EntryLen()
	kept := entries[:0]
	for b := entries; len(b) > 0; b = b[size:] {
		r := f.Record(b)
		if in := injected[r.Key()]; in != nil {
			behind := replication.Idle(in, p.settings) + later.Milliseconds() - replication.Idle(&r, p.settings)
			if replication.Winner(&r, in, behind, sameMoment.Milliseconds()) < 0 {
				p.w.counters.ignored.Add(1)
				continue
			}
		}
		kept = append(kept, b[:size]...)
	}
	return kept
}

// touch notes that our own kernel has reported a session while a resync is
// under way: what a peer says of it is older.
func (r *resync) touch(rec *session.Record) {
	if r.touched == nil {
		return
	}
	key := rec.Key()
	if _, known := r.touched[key]; known {
		return
	}
	if len(r.touched) >= maxTouched {
		r.overflowed = true
		return
	}
	r.touched[key] = struct{}{}
	if r.phase == comparing {
		r.lately = append(r.lately, key)
	}
}

// touchAll does the same with live updates that go on while a resync is under
// way.
func (r *resync) touchAll(entries []byte) {
	for f := session.ListFormat(entries); len(entries) > 0; entries = entries[f.EntryLen():] {
		rec := f.Record(entries)
		r.touch(&rec)
	}
}

// maxTouched bounds what touch remembers. If more sessions are reported, the resync injects only sessions that the module
// does not hold, and removes no BIB entries.
const maxTouched = 1 << 18
