package replication

import (
	"slices"
	"time"

	"joolctl/session"
	"joolctl/syncwire"
)

const (
	// MaxBacklog bounds the live datagrams of a Backlog, in bytes.
	MaxBacklog = 8 << 20
	// SameMoment is the largest difference between the idle times of two records that counts as none, if both were made with
	// the same clock.
	SameMoment = 10 * time.Millisecond
)

// Backlog keeps live datagrams until a full sync is stored: to insert an old session, the module walks over every newer one.
// The zero value is empty.
type Backlog struct {
	updates []update
	size    int
	// injected has the sessions of updates. The record is the one that the full sync has injected; nil: none yet.
	injected map[session.Key]*session.Record
	// reported has the last reports of the own module for sessions that waited then.
	reported map[session.Key]ownReport
}

// ownReport is a report of the own module for a session of which updates wait.
type ownReport struct {
	record  session.Record
	at      time.Time     // when the record had its time left
	lag     time.Duration // how long the report may have waited
	updates int           // how many updates waited then
}

// update is a list of sessions that waits.
type update struct {
	entries       []byte
	arrived       time.Time
	retransmitted bool
}

// Add copies a list of sessions that a live datagram, or its retransmission, has brought. It returns false if the Backlog has
// no room.
func (b *Backlog) Add(entries []byte, retransmitted bool, now time.Time) bool {
	if b.size+len(entries) > MaxBacklog {
		return false
	}
	b.updates = append(b.updates, update{slices.Clone(entries), now, retransmitted})
	b.size += len(entries)
	if b.injected == nil {
		b.injected = make(map[session.Key]*session.Record)
	}
	for f := session.ListFormat(entries); len(entries) > 0; entries = entries[f.EntryLen():] {
		rec := f.Record(entries)
		if key := rec.Key(); b.injected[key] == nil {
			b.injected[key] = nil
		}
	}
	return true
}

// Len returns the number of updates.
func (b *Backlog) Len() int { return len(b.updates) }

// Sessions returns the number of sessions in the updates.
func (b *Backlog) Sessions() (n uint64) {
	for _, u := range b.updates {
		n += uint64(session.ListFormat(u.entries).CountList(u.entries))
	}
	return n
}

// ReportAll adds the sessions of all updates to r.
func (b *Backlog) ReportAll(r *Reported) {
	for _, u := range b.updates {
		r.AddList(u.entries)
	}
}

// Injected notes that a full sync injects a record, and returns whether an update has the session. Then the Backlog keeps the
// pointer.
func (b *Backlog) Injected(rec *session.Record) (waits bool) {
	if len(b.injected) == 0 {
		return false
	}
	key := rec.Key()
	if _, waits = b.injected[key]; waits {
		b.injected[key] = rec
	}
	return waits
}

// Reported notes that the own module reports a session. The report may have waited for lag in the module and in the socket.
func (b *Backlog) Reported(rec *session.Record, lag time.Duration, now time.Time) {
	key := rec.Key()
	if _, waits := b.injected[key]; !waits {
		return
	}
	if b.reported == nil {
		b.reported = make(map[session.Key]ownReport)
	}
	b.reported[key] = ownReport{*rec, now, lag, len(b.updates)}
}

// losesTo reports whether the report is older than a record of an update that waited then. The report of a connection that is not
// established may be: after a failover, the module reports the connection in the state that it was given, and the update may already
// have the next state. Most packets do not renew such a connection, and the report may have waited. In other states, each packet
// renews the session or leads to another state.
func (o *ownReport) losesTo(r *session.Record, own *syncwire.Settings, now time.Time) bool {
	if s := o.record.State(); s != session.V6Init && s != session.V4Init {
		return false
	}
	behind := Idle(&o.record, *own) + now.Sub(o.at).Milliseconds() - Idle(r, *own)
	return Winner(r, &o.record, behind, o.lag.Milliseconds()) > 0
}

// Release empties the Backlog, and calls deliver with the updates in their order, their times corrected. It leaves out sessions
// that are older than the record that the full sync has injected of them (the table of a peer may be newer than an update), or
// than a later report of the own module, and passes these to outdated. unreported is how many sessions are newer than a later
// report, which peers have received. Records were injected with the times that they had left at base.
func (b *Backlog) Release(base, now time.Time, own *syncwire.Settings, deliver func(entries []byte, retransmitted bool),
	outdated func(entry []byte)) (unreported uint64) {
	released := *b
	*b = Backlog{}
	for i, u := range released.updates {
		session.AgeList(u.entries, now.Sub(u.arrived))
		entries, more := released.newer(i, base, now, own, outdated)
		unreported += more
		deliver(entries, u.retransmitted)
	}
	return unreported
}

// newer moves the sessions of the update at index i that are not outdated to its front.
func (b *Backlog) newer(i int, base, now time.Time, own *syncwire.Settings, outdated func(entry []byte)) (kept []byte, unreported uint64) {
	entries := b.updates[i].entries
	f := session.ListFormat(entries)
	size := f.EntryLen()
	kept = entries[:0]
	for rest := entries; len(rest) > 0; rest = rest[size:] {
		r := f.Record(rest)
		key := r.Key()
		o, reported := b.reported[key]
		reported = reported && i < o.updates
		if reported && !o.losesTo(&r, own, now) {
			outdated(rest[:size])
			continue
		}
		if in := b.injected[key]; in != nil {
			behind := Idle(in, *own) + now.Sub(base).Milliseconds() - Idle(&r, *own)
			if Winner(&r, in, behind, SameMoment.Milliseconds()) < 0 {
				outdated(rest[:size])
				continue
			}
		}
		kept = append(kept, rest[:size]...)
		if reported {
			unreported++
		}
	}
	return kept, unreported
}
