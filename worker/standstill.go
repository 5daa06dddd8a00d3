package worker

import (
	"time"

	"joolctl/joolnl"
)

const (
	// standstill is by how much the worker's timer must be late for the process to
	// have been stopped, or its host.
	standstill = time.Second
	// maxWaited bounds the sessions that are told again after one.
	maxWaited = 4096
)

// stoodStill notes what is reported from now on, if the process has stood still for
// long: the module's messages don't say when they were sent, and what waited has less
// time left than they say. The timer is still late then, because descriptors come
// first. It may be due up to askIdle after the standstill's beginning.
func (p *pumps) stoodStill(now time.Time) {
	if p.timer.Late(now) > standstill {
		p.waited, p.waitedFor = make(map[joolnl.Key]struct{}), now.Sub(p.thread.Waits())
	}
}

// noteWaited notes what has just been reported. What may have waited counts as having
// waited for the longest that it can have, until it is told again: a peer that
// compares meanwhile must not find that its own is newer, and give that back.
func (p *pumps) noteWaited(entries []byte) {
	if p.waited == nil && len(p.telling) == 0 {
		return
	}
	if p.waited != nil && len(entries) > 0 {
		ageAll(entries, p.waitedFor)
	}
	var copied joolnl.Record
	for size := p.format.EntryLen(); len(entries) > 0; entries = entries[size:] {
		key := p.format.RecordIn(entries, &copied).Key()
		delete(p.telling, key)
		if p.waited != nil && len(p.waited) < maxWaited {
			p.waited[key] = struct{}{}
		}
	}
}

// tellAgain passes on once more what was reported after a standstill, as it stands in
// the module's table now; but not what is reported again while that is read.
func (p *pumps) tellAgain(now time.Time) {
	waited := p.waited
	p.waited = nil
	if len(waited) == 0 {
		return
	}
	p.telling = waited
	stop := func() bool { return len(waited) == 0 }
	p.readTable(p.sessions(), now, stop, func(t table, err error) {
		if err != nil {
			p.w.log.warn("reading the session table after a standstill", "error", err)
			return
		}
		now, out := time.Now(), p.out[:0]
		for _, r := range t.records {
			if _, is := waited[r.Key()]; is {
				age(&r, now.Sub(t.base))
				out = p.appendRecord(out, &r)
				p.w.counters.refreshed.Add(1)
			}
		}
		clear(waited)
		p.out = out
		p.sendInPieces(out, now)
	})
}
