package replication

import (
	"net/netip"
	"slices"
	"time"

	"joolctl/session"
)

// Injection queues the sessions of a full sync for the module, which takes them in batches, so that its lock is free in between.
// It leaves out sessions that were reported meanwhile, because their reports are newer, unless a BIB entry was in the way of a session:
// the module has refused its reports. The zero value has no sessions.
type Injection struct {
	// Base is when the queued sessions had the times left that their records have.
	Base time.Time
	// Given counts the sessions that Batch has returned, and Heard those of them that live datagrams had brought before.
	Given, Heard int

	freedMasks  map[Mask]struct{} // of BIB entries that were removed
	freedHosts  map[bibHost]struct{}
	reported    *Reported
	backlog     *Backlog
	pieces      [][]session.Record // each sorted by age
	piece, next int                // the next session: the piece, and the index in it
	total, done int                // sessions of all pieces, and those that Batch has looked at
}

// NewInjection returns an empty Injection. backlog learns which records are injected.
func NewInjection(base time.Time, reported *Reported, backlog *Backlog) Injection {
	return Injection{Base: base, reported: reported, backlog: backlog}
}

// Free notes that BIB entries were removed, which were in the way of sessions.
func (i *Injection) Free(masks []Mask, hosts map[Mask]bibHost) {
	if i.freedMasks == nil && len(masks) > 0 {
		i.freedMasks, i.freedHosts = make(map[Mask]struct{}), make(map[bibHost]struct{})
	}
	for _, m := range masks {
		i.freedMasks[m], i.freedHosts[hosts[m]] = struct{}{}, struct{}{}
	}
}

// freed reports whether a BIB entry was in the way of a session.
func (i *Injection) freed(r *session.Record) bool {
	_, mask := i.freedMasks[maskOf(r)]
	_, host := i.freedHosts[hostOf(r)]
	return mask || host
}

// isNewer reports whether the module has a newer version of a session than the full sync: the own module has reported it, or a peer has
// and no BIB entry was in the way.
func (i *Injection) isNewer(r *session.Record) bool {
	key := r.Key()
	return i.reported.Own(key) || i.reported.Has(key) && !i.freed(r)
}

// Add queues sessions, oldest first. It keeps their memory.
func (i *Injection) Add(records []session.Record) {
	i.pieces = append(i.pieces, records)
	i.total += len(records)
}

// All returns all sessions that were queued.
func (i *Injection) All() []session.Record { return slices.Concat(i.pieces...) }

// Progress returns how many sessions Batch has looked at, and how many were queued.
func (i *Injection) Progress() (done, total int) { return i.done, i.total }

// InjectionTarget is the module that Batch makes lists for.
type InjectionTarget interface {
	// Keeps reports whether the module has a record of a session that is not older. The times left are those of now.
	Keeps(r *session.Record) bool
	// Emit reports an event.
	Emit(Event)
}

// Batch appends the sessions of the next message to dst, in a format and for a pool6, with the times that they have left at now.
// It leaves out those that have expired.
func (i *Injection) Batch(dst []byte, f session.Format, pool6 netip.Prefix, to InjectionTarget, now time.Time) []byte {
	since := now.Sub(i.Base)
	for n, looked := 0, 0; n < session.MaxPerMessage && looked < session.MaxPerMessage && i.done < i.total; {
		from := i.take()
		r := *from
		if int64(r.Expires()) <= since.Milliseconds() || i.isNewer(&r) {
			continue
		}
		r.Age(since)
		// A peer may have reported a session of a removed BIB entry before or after the removal. A lookup takes time, so their number is bounded.
		if i.reported.Overflowed() || i.reported.Has(r.Key()) {
			looked++
			if to.Keeps(&r) {
				continue
			}
		}
		heard := i.backlog.Injected(from)
		var err error
		if dst, err = f.AppendRecord(dst, &r, pool6); err != nil {
			to.Emit(SessionUnfit{err})
			continue
		}
		n++
		i.Given++
		if heard {
			i.Heard++
		}
	}
	return dst
}

// take returns the next session.
func (i *Injection) take() *session.Record {
	for i.next == len(i.pieces[i.piece]) {
		i.piece, i.next = i.piece+1, 0
	}
	i.next++
	i.done++
	return &i.pieces[i.piece][i.next-1]
}
