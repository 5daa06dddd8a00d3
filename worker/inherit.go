package worker

import (
	"time"

	"joolctl/joolnl"
	"joolctl/syncwire"
)

const (
	// quietFor is how long the module must have reported nothing for a worker to leave
	// word of its table: by then peers have heard a HELLO, even an idle one, and asked for
	// what they missed. So it is a standby, and its next worker owes nobody anything.
	quietFor = 15 * time.Second
	// inheritWithin is how soon the next worker must have been repeated what it missed.
	inheritWithin = 2 * time.Second
	// moreSessions is how many more sessions a peer may hold, beside 1 %, that has
	// gained none that are missing here: tables expire in their own time.
	moreSessions = 64
)

func (p *pumps) willKey() string {
	return receiverKey(p.thread.ID(), p.w.spec().Instance) + "/" + p.receiverDetail()
}

// bequeath leaves word that the table is complete, if it is. To be called on the
// thread, when nothing reads any more.
func (p *pumps) bequeath(now time.Time) {
	peers := p.bequest(now)
	if peers == nil {
		return
	}
	errs := p.w.counters.kernelErrors.Load()
	p.conn.ReadErrors() // of what was given to the module last
	stats, err := p.conn.AskStats()
	if err != nil || !stats.Has(joolnl.StatPacketsRcvd) || errs != p.w.counters.kernelErrors.Load() {
		return
	}
	e := estateOf(&stats)
	e.peers = peers
	p.w.counters.will.write(p.willKey(), e)
}

func estateOf(stats *joolnl.Stats) estate {
	return estate{
		packets: stats.Get(joolnl.StatPacketsRcvd), sessions: stats.Get(joolnl.StatSessionsRcvd),
		reported: stats.Get(joolnl.StatSessionsSent), dropped: stats.Get(joolnl.StatSessionsDropped),
	}
}

// bequest is what is known of the peers of a complete table; nil: it is not
// known to be complete, or what will be missed could not be told.
func (p *pumps) bequest(now time.Time) map[syncwire.ID]bequeathed {
	r := &p.resync
	switch {
	case p.conn == nil, p.socket == nil, !p.sequence,
		r.phase != settled, r.why != "", r.sync != syncwire.SyncYes,
		p.audit.lost != p.audit.repaired, len(p.audit.broken) > 0,
		now.Sub(p.reportedAt) < max(quietFor, 2*p.coalesce.period):
		return nil
	}
	peers := make(map[syncwire.ID]bequeathed)
	for _, known := range p.w.peers.byAddress {
		switch s := &known.stream; {
		case known.ID == 0: // upstream's have no sequence
			return nil
		case now.Sub(known.LastHeard) > aliveFor: // if it returns, by another id
		case !known.greeted, !known.tellsGains, !s.started, len(s.held)+len(s.missing) > 0:
			return nil
		default:
			peers[known.ID] = bequeathed{s.next, known.gains}
		}
	}
	if len(peers) == 0 {
		return nil
	}
	return peers
}

// inherit takes what the worker before has left, if the module has neither been given
// nor reported anything since. To be called when its counters have been read.
func (p *pumps) inherit() {
	e := p.w.counters.will.read(p.willKey())
	if e == nil || !p.counted || !p.kernel.Has(joolnl.StatPacketsRcvd) {
		return
	}
	now := estateOf(&p.kernel)
	if now.packets == e.packets && now.sessions == e.sessions && now.reported == e.reported && now.dropped == e.dropped {
		p.w.peers.bequest = e.peers
	}
}

// missedNothing tells whether the table that the worker before has left is complete:
// not yet (wait), for sure (neither), or it never will be shown to be.
func (p *pumps) missedNothing() (wait, never bool) {
	peers := &p.w.peers
	if peers.bequest == nil {
		return true, true
	}
	heard, ours := 0, p.sessions()
	for _, known := range peers.byAddress {
		b, ok := peers.bequest[known.ID]
		switch s := &known.stream; {
		case !ok: // somebody else
			return true, true
		case !known.greeted:
			wait = true
		case !known.tellsGains, known.gains != b.gains, s.lost > 0, int(known.Sessions) > ours+ours/100+moreSessions:
			return true, true
		case len(s.held)+len(s.missing) > 0:
			wait = true
		}
		heard++
	}
	return wait || heard < len(peers.bequest), false
}

// inherited ends the start without a resync.
func (r *resync) inherited(now time.Time) {
	report := ResyncReport{Why: whyInherited, Had: r.p.sessions(), At: now, Took: now.Sub(r.since)}
	if best := r.p.w.peers.best(nil, now); best != nil {
		report.From = best.Address.String()
	}
	r.p.w.peers.bequest = nil
	r.sync, r.verified = syncwire.SyncYes, now
	r.p.w.reportResync(report)
	r.finish(now)
}
