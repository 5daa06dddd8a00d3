package worker

import (
	"slices"
	"time"

	"joolctl/session"
)

// injection gives the module sessions of a table in batches that leave its lock free in between. What the own module or a
// peer reports meanwhile is newer, and stays.
type injection struct {
	resync *resync
	pieces [][]session.Record // each sorted by age, their times left as they were at base
	base   time.Time
	piece  int // the next
	next   int // of its records
	total  int // in all pieces
	done   int // of these
	given  int // to the module; the others were left out
}

// add queues sessions. It keeps their memory.
func (i *injection) add(records []session.Record) {
	i.pieces = append(i.pieces, records)
	i.total += len(records)
}

// all returns the sessions that were queued.
func (i *injection) all() []session.Record { return slices.Concat(i.pieces...) }

// step gives the next sessions, for as long as the pumps may wait. false: that
// was all.
func (i *injection) step(p *pumps) (more bool) {
	began := p.do.now()
	since := began.Sub(i.base)
	for i.done < i.total && p.do.now().Sub(began) < slice {
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
	return i.done < i.total
}

// batch is the next message's sessions.
func (i *injection) batch(p *pumps, since time.Duration) []byte {
	entries := p.injectBuf[:0]
	for n := 0; n < session.MaxPerMessage && i.done < i.total; {
		from := i.take()
		r := *from
		if i.resync.reported.Has(r.Key()) || int64(r.Expires()) <= since.Milliseconds() {
			continue // or it has expired meanwhile
		}
		if i.resync.reported.Overflowed() && p.holds(&r) {
			continue
		}
		i.resync.backlog.Injected(from)
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

// take returns the next session.
func (i *injection) take() *session.Record {
	for i.next == len(i.pieces[i.piece]) {
		i.piece, i.next = i.piece+1, 0
	}
	i.next++
	i.done++
	return &i.pieces[i.piece][i.next-1]
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
