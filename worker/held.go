package worker

import (
	"slices"
	"time"

	"joolctl/joolnl"
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
	r.held = append(r.held, update{slices.Clone(entries), time.Now(), repeat})
	r.heldSize += len(entries)
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
	held := p.resync.held
	p.resync.held, p.resync.heldSize, p.stored = nil, 0, nil
	before := p.resync.phase
	p.resync.phase = settled
	now := time.Now()
	for _, u := range held {
		ageAll(u.entries, now.Sub(u.came))
		if u.repeat {
			p.deliverRepeat(u.entries)
		} else {
			p.deliver(u.entries)
		}
	}
	p.toKernel()
	p.resync.phase = before
	if p.evicted { // no component counts the sessions that have waited
		p.evicted = false
		p.missed(now)
	}
}

// touch notes that our own kernel has reported a session while a resync is
// under way: what a peer says of it is older.
func (r *resync) touch(rec *joolnl.Record) {
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
	for f := joolnl.ListFormat(entries); len(entries) > 0; entries = entries[f.EntryLen():] {
		rec := f.Record(entries)
		r.touch(&rec)
	}
}

// maxTouched bounds what touch remembers. If more sessions are reported, the resync injects only sessions that the module
// does not hold, and removes no BIB entries.
const maxTouched = 1 << 18
