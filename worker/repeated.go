package worker

import (
	"time"

	"joolctl/replication"
	"joolctl/session"
)

const (
	// reportLag is how long the module may keep a session before it reports it: twice its ss-flush-deadline.
	reportLag = 4 * time.Second
	// maxLookups bounds how many sessions are looked up in the module in a replication.RetransmitWindow, because live traffic waits
	// meanwhile.
	maxLookups = 256
)

// lookups are the sessions of repeats that are looked up in the module.
type lookups struct {
	page   []session.Session // the memory of the replies
	window time.Time
	n      int // in this window
}

// allow reports whether another session may be looked up now.
func (l *lookups) allow(now time.Time) bool {
	if now.Sub(l.window) > replication.RetransmitWindow {
		l.window, l.n = now, 0
	}
	l.n++
	return l.n <= maxLookups
}

// deliverRepeat delivers a repeat's sessions that are not older than the own module's. JOOLD_ADD would overwrite these,
// and after a failover the module reports the same sessions as the peer did before.
func (p *pumps) deliverRepeat(entries []byte) {
	if p.resync.hold(entries, true) {
		return
	}
	if entries = p.withoutOlder(entries, p.do.now()); len(entries) > 0 {
		p.deliver(entries)
	}
}

// withoutOlder leaves out of a repeat's sessions those that are older than the own module's. It moves the others to the
// front. The module is asked for a session only if it may have reported something since that session's last packet.
func (p *pumps) withoutOlder(entries []byte, now time.Time) []byte {
	f := session.ListFormat(entries)
	size := f.EntryLen()
	kept, asked, doubtful := entries[:0], false, false
	for b := entries; len(b) > 0; b = b[size:] {
		r := f.Record(b)
		quiet := time.Duration(max(replication.Idle(&r, p.settings), 0)) * time.Millisecond
		silent := p.reportedAt.IsZero() || now.Sub(p.reportedAt) > quiet+reportLag
		allowed := !silent && p.lookups.allow(now)
		if allowed && !asked {
			asked = true
			p.toKernel() // the module must have what came before this repeat
		}
		switch {
		case allowed && p.older(&r):
		case !allowed && !silent:
			doubtful = true
		default:
			kept = append(kept, b[:size]...)
			continue
		}
		p.w.counters.ignored.Add(1)
	}
	if doubtful {
		p.doubt(now)
	}
	return kept
}

// older reports whether a repeat's session is older than the module's own record of it, or as old.
func (p *pumps) older(r *session.Record) bool {
	own, there, page, err := p.module.AskSession(p.lookups.page[:0], r)
	p.lookups.page = page[:0]
	if err != nil {
		p.w.log.warn("looking up a repeated session", "error", err)
		return false
	}
	if !there {
		return false
	}
	behind := replication.Idle(&own, p.settings) - max(replication.Idle(r, p.settings), 0)
	return replication.Winner(r, &own, behind, replication.SameMoment.Milliseconds()) <= 0
}
