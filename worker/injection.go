package worker

import (
	"time"

	"joolctl/session"
)

// injection gives the module sessions of a table, oldest first, in batches that
// leave its lock free in between.
type injection struct {
	records []session.Record // sorted, their times left as they were at base
	base    time.Time
	// fresher has what is left out: newer is known of it.
	fresher map[session.Key]struct{}
	// overflowed: fresher had no room for all of it. Then what the module holds is left out, too.
	overflowed *bool
	waiting    map[session.Key]*session.Record // live updates; see resync.waiting
	next       int                             // of records
	given      int                             // to the module
}

// step gives the next sessions, for as long as the pumps may wait. false: that
// was all.
func (i *injection) step(p *pumps) (more bool) {
	began := p.do.now()
	since := began.Sub(i.base)
	for i.next < len(i.records) && p.do.now().Sub(began) < slice {
		entries := i.batch(p, since)
		if len(entries) > 0 {
			n := len(entries) / p.format.EntryLen()
			i.given += n
			p.w.counters.injected.Add(uint64(n))
			p.cut(entries)
			p.add(entries)
			p.toKernel()
		}
	}
	return i.next < len(i.records)
}

// batch is the next message's sessions.
func (i *injection) batch(p *pumps, since time.Duration) []byte {
	entries := p.injectBuf[:0]
	for n := 0; n < session.MaxPerMessage && i.next < len(i.records); i.next++ {
		r := i.records[i.next]
		if _, fresher := i.fresher[r.Key()]; fresher || int64(r.Expires()) <= since.Milliseconds() {
			continue // or it has expired meanwhile
		}
		if *i.overflowed && p.holds(&r) {
			continue
		}
		if _, waits := i.waiting[r.Key()]; waits {
			i.waiting[r.Key()] = &i.records[i.next]
		}
		r.Age(since)
		var err error
		if entries, err = p.format.AppendRecord(entries, &r, p.settings.Pool6); err != nil {
			p.w.log.warn("a peer's session has no form for this module", "error", err)
			continue
		}
		n++
	}
	p.injectBuf = entries
	return entries
}

// holds reports whether the module holds a session. If that is not known, the session counts as one that the module had
// no memory for.
func (p *pumps) holds(r *session.Record) bool {
	_, there, page, err := p.module.AskSession(p.lookups.page[:0], r)
	p.lookups.page = page[:0]
	if err != nil {
		p.w.log.warn("looking up a session of a resync", "error", err)
		p.doubt(p.do.now())
		return true
	}
	return there
}
