package worker

import (
	"fmt"
	"time"

	"joolctl/eventlog"
	"joolctl/replication"
	"joolctl/session"
	"joolctl/syncwire"
)

// effects implements the actions on which package replication decides.
type effects struct{ p *pumps }

func (e effects) Now() time.Time       { return e.p.do.now() }
func (e effects) Post(fn func())       { e.p.do.post(fn) }
func (e effects) Background(fn func()) { e.p.do.background(fn) }

func (e effects) ReadTable(sizeHint int, base time.Time, stop func() bool, done func(replication.Snapshot, error)) {
	e.p.do.readTable(sizeHint, base, stop, done)
}

func (e effects) ReadCounters(now time.Time)           { e.p.readKernel(now) }
func (e effects) ReadErrors()                          { e.p.module.ReadErrors() }
func (e effects) RemoveBIB(masks []replication.Mask)   { e.p.removeBIB(masks) }
func (e effects) Inject(i *replication.Injection) bool { return e.p.injectFor(i) }
func (e effects) Keeps(r *session.Record) bool         { return e.p.keeps(r) }
func (e effects) Store(entries []byte)                 { e.p.store(entries) }
func (e effects) FlushStored()                         { e.p.toKernel() }
func (e effects) Waiting() bool                        { return e.p.do.waits() }

func (e effects) Lookup(r *session.Record) (own session.Record, there bool, err error) {
	return e.p.lookup(r)
}

func (e effects) Transmit(entries []byte, t syncwire.Trailer)  { e.p.sendDatagram(entries, t) }
func (e effects) Message(m syncwire.Message, to []syncwire.ID) { e.p.sendMessage(m, to) }
func (e effects) OpenBatch()                                   { e.p.openBatch() }
func (e effects) Flush()                                       { e.p.flush() }
func (e effects) Push()                                        { e.p.sendBatch() }
func (e effects) Scratch() *replication.Scratch                { return &e.p.scratch.Scratch }
func (e effects) Wake(at time.Time)                            { e.p.wakeAt(at) }
func (e effects) Progressed(now time.Time)                     { e.p.publishSync(now) }

// Count adds n to a counter.
func (e effects) Count(counter replication.Counter, n uint64) {
	c := e.p.w.counters
	switch counter {
	case replication.CountCoalesced:
		c.coalesced.Add(n)
	case replication.CountRefreshed:
		c.refreshed.Add(n)
	case replication.CountIgnored:
		c.ignored.Add(n)
	case replication.CountLost:
		c.networkLost.Add(n)
	case replication.CountRepaired:
		c.networkRepaired.Add(n)
	case replication.CountMalformed:
		c.malformed.Add(n)
	case replication.CountNotUnderstood:
		c.notUnderstood.Add(n)
	case replication.CountFound:
		c.foundLate.Add(n)
	case replication.CountIgnoredClaims:
		c.ignoredClaims.Add(n)
	}
}

// Emit logs an event, or acts on it.
func (e effects) Emit(event replication.Event) {
	p, c, log := e.p, e.p.w.counters, e.p.w.log
	switch ev := event.(type) {
	case replication.TableUnread:
		log.warn("a peer requested a full sync, but the session table could not be read", "error", ev.Err)
	case replication.OwnTableUnread:
		log.warn("the session table could not be read for the comparison with a peer's", "error", ev.Err)
	case replication.StallUnread:
		log.warn("after a stall, the session table could not be read: times left at peers may be too high", "error", ev.Err)
	case replication.SessionIgnored:
		p.explain("a session of a peer is ignored", ev.Why, &ev.Session)
	case replication.SessionUnfit:
		log.warn("a session cannot be expressed in the format of this module", "error", ev.Err)
	case replication.LookupFailed:
		log.warn("a retransmitted session could not be looked up in the module", "error", ev.Err)
	case replication.MessageDropped:
		log.warn("dropped a malformed control message", "from", ev.From, "error", ev.Err)
	case replication.ModuleDropped:
		log.warn("the module dropped sessions because it had to report too many; peers get them by a full sync", "dropped", ev.Sessions)
	case replication.WrittenOff:
		c.writtenOff.Add(ev.Datagrams)
	case replication.VerdictChanged:
		p.logVerdict(ev)
	case replication.PathChanged:
		p.pathChanged(ev.PathTrouble)
	case replication.MayLackMore:
		p.w.change(p.do.now(), (*SyncState).restartCount)
	case replication.PeerSecured:
		p.w.event(eventlog.PeerSecured(ev))
	case replication.PeerComplete:
		now := p.do.now()
		p.w.change(now, func(s *SyncState) { s.CompletePeer = now })
	case replication.PeersChanged:
		p.publishPeers()
	case replication.Advertised:
		p.advertised(ev.Advertise)
	case replication.TableReleased:
		p.freeLater(ev.Sessions)
	default:
		p.fullSyncEvent(event)
	}
}

// fullSyncEvent counts and logs the course of a full sync that this host receives or has requested.
func (p *pumps) fullSyncEvent(event replication.Event) {
	c, log := p.w.counters, p.w.log
	switch ev := event.(type) {
	case replication.NoPeerSends:
		c.unanswered.Add(1)
		p.w.event(eventlog.Event{Kind: eventlog.FullSyncFailed, Severity: eventlog.Warning,
			Text: "no peer sent its session table, which was requested because: " + ev.Cause})
		log.warn("no peer gave its session table", "why it was wanted", ev.Cause)
	case replication.SyncStopped:
		c.interrupted.Add(1)
		p.w.event(eventlog.Event{Kind: eventlog.FullSyncFailed, Severity: eventlog.Warning, Peer: ev.From.String(),
			Text: fmt.Sprintf("the full sync from %v stopped in the middle", ev.From)})
		log.warn("a full sync stopped in the middle; asking another peer", "from", ev.From)
	case replication.TableTooBig:
		c.tooLarge.Add(1)
		p.w.event(eventlog.Event{Kind: eventlog.FullSyncFailed, Severity: eventlog.Warning, Peer: ev.From.String(),
			Text: fmt.Sprintf("the table of %v has %d sessions, more than a full sync takes (%d)", ev.From, ev.Sessions, replication.MaxSessions)})
		log.warn("a peer's table has more sessions than a full sync takes, so the full sync is ignored; lower the timeouts of both instances",
			"from", ev.From, "sessions", ev.Sessions, "limit", replication.MaxSessions)
	case replication.SyncResumed:
		log.to().Info("the sender of a stopped full sync sends again; keeping what was received", "from", ev.From, "got", ev.Got, "of", ev.Expected)
	case replication.SyncEnded:
		c.fullSyncs.Add(1)
		c.collisions.Add(uint64(ev.Collisions))
		p.w.reportSync(ev.SyncReport)
	}
}

// logVerdict logs a changed verdict, and keeps it as an event.
func (p *pumps) logVerdict(v replication.VerdictChanged) {
	if v.Sync != v.Was {
		p.w.event(eventlog.VerdictChanged(v.Was.String(), v.Sync.String(), v.Reasons))
	}
	switch {
	case v.Sync == syncwire.SyncYes:
		p.w.log.to().Info("the table has all sessions of the peers' tables")
	case v.Sync == syncwire.SyncAlone && v.Was == syncwire.SyncYes:
		p.w.log.warn("no peer sends any more; this host is alone")
	case v.Sync == syncwire.SyncNo && v.Was == syncwire.SyncYes:
		lines, now := make([]string, len(v.Reasons)), p.do.now()
		for i, reason := range v.Reasons {
			lines[i] = reason.Line(now)
		}
		p.w.log.warn("the table lacks sessions", "reasons", lines)
	}
}
