package worker

import (
	"slices"

	"joolctl/joolnl"
)

// hold keeps a live update until the resync that is under way has ended: an old
// session costs the module a walk over every newer one. false: go on at once.
func (r *resync) hold(entries []byte) bool {
	if r.phase < collecting || r.phase == checking || r.heldSize > maxHeldBytes {
		return false
	}
	r.held = append(r.held, slices.Clone(entries))
	r.heldSize += len(entries)
	return true
}

// releaseHeld lets the held updates go on, in their order.
func (p *pumps) releaseHeld() {
	held := p.resync.held
	p.resync.held, p.resync.heldSize = nil, 0
	before := p.resync.phase
	p.resync.phase = settled
	for _, entries := range held {
		p.deliver(entries)
	}
	p.toKernel()
	p.resync.phase = before
}

// touch notes that our own kernel has reported a session while a resync is
// under way: what a peer says of it is older.
func (r *resync) touch(rec *joolnl.Record) {
	if r.touched != nil && len(r.touched) < maxTouched {
		r.touched[rec.Key()] = struct{}{}
	}
}

// maxTouched bounds what touch remembers.
const maxTouched = 1 << 17
