package worker

import (
	"fmt"
	"slices"
	"time"

	"joolctl/replication"
	"joolctl/syncwire"
)

const (
	// lackFor is how long live datagrams may be on their way, or be asked for, before the host is not complete.
	lackFor = 500 * time.Millisecond
	// droppingFor is how long the module must not have dropped sessions for its drops to be over.
	droppingFor = 2 * time.Second
	// dropsLast is how long a peer's module may drop sessions before its table is asked for meanwhile, and dropsCost times as
	// long as the last resync took nothing is asked for then: reading the table makes it drop more.
	dropsLast = 30 * time.Second
	dropsCost = 9
	// askFirstBy is how much later a host asks for each peer that is expected to ask before it. A peer that asks gives back
	// what it has.
	askFirstBy = time.Second
	// reportedWithin is how soon a session is in a live datagram of its host, or in the host's generation: the module sends a
	// report within its timer's 2 s and the deadline, and its counters are read every 5 s at the latest.
	reportedWithin = 10 * time.Second
	// maxLacks bounds the reasons that are shown.
	maxLacks = 8
	// whyLacks is the reason for a resync because a peer has sessions that are missing here.
	whyLacks = "a peer has sessions that are missing here"
)

// completeness is what tells whether the table has everything that the live peers' tables have.
type completeness struct {
	// generation is the host's own: it rises when the table may have got sessions that are in no live datagram.
	generation uint32
	vector     replication.Vector
	// stored is the vector from before live updates began to wait for a resync; nil: none wait.
	stored []syncwire.Component
	// doubts is how often the vector was forgotten: what was known before then must not be merged any more.
	doubts int
	// unclaimed has the peers whose sessions a full sync stored here, and when; see settleUnclaimed.
	unclaimed map[syncwire.ID]time.Time
	// evicted is true if an origin's component was dropped while its live updates waited for a resync.
	evicted   bool
	lacks     []Lack
	told      []replication.Reason // as last published
	inherited bool                 // from the worker before
}

// Lack is what a live peer's table has and the host's table may lack.
type Lack struct {
	peer   *peer
	reason replication.Reason
	// Gap is what is missing; its Origin is 0 if the peer has not said yet what it has.
	Gap replication.Gap
	// pending is true if the missing live datagrams may still come.
	pending bool
	since   time.Time // if it is pending
}

// position is the host's own.
func (p *pumps) position() syncwire.Position {
	return syncwire.Position{Generation: p.generation, Seq: p.seq}
}

// liveOrigin returns a function that reports whether an origin is heard.
func (p *pumps) liveOrigin(now time.Time) func(syncwire.ID) bool {
	return func(id syncwire.ID) bool {
		known := p.w.peers.withID(id)
		return known != nil && known.live(now)
	}
}

// advance takes what has come of peers' live datagrams into the vector.
func (p *pumps) advance(now time.Time) {
	for _, known := range p.w.peers.order {
		s := &known.stream
		if known.ID == 0 || !s.Started() {
			continue
		}
		if known.restarts != s.Restarts() {
			known.restarts = s.Restarts()
			p.vector.Restart(known.ID)
		}
		live := known.live(now)
		if live {
			p.vector.Lives(known.ID)
		}
		if live || known.lived { // once more, because of what came before it died
			first, last, top := s.Complete()
			p.vector.Advance(known.ID, first, last, top)
		}
		known.lived = live
	}
	if p.vector.Age(now, p.settings.Longest(), p.liveOrigin(now)) {
		p.generation++ // its sessions are this host's from now on
		p.evicted = p.evicted || p.stored != nil
	}
}

// expected is the live datagram of an origin that the table lacks first, if that is known.
func (p *pumps) expected(origin syncwire.ID) (syncwire.Seq, bool) {
	c, found := p.vector.Get(origin)
	return c.Complete.Seq + 1, found && c.Known
}

// components are the vector as peers get it: sessions that wait for a resync are not in the table yet.
func (p *pumps) components(now time.Time) []syncwire.Component {
	p.advance(now)
	return p.vector.Advertise(p.stored, now)
}

// whole is the vector of the own table: the own component first.
func (p *pumps) whole(now time.Time) []syncwire.Component {
	return replication.Whole(p.self, p.position(), p.components(now))
}

// doubt notes that the table may lack sessions of any origin.
func (p *pumps) doubt(now time.Time) {
	p.advance(now)
	p.doubts++
	p.vector.ForgetAll()
	p.answers.doubt()
	if p.stored != nil {
		p.stored = []syncwire.Component{} // nothing is known of what the table holds
	}
	for _, known := range p.w.peers.order {
		known.stream.Doubt()
	}
	p.wake(now)
}

// merge notes that the table contains everything that a peer's table with that vector contained when doubts was what it
// is said to have been.
func (p *pumps) merge(vector []syncwire.Component, doubts int, now time.Time) {
	if doubts != p.doubts {
		return // sessions were lost since
	}
	p.advance(now)
	p.vector.Merge(p.others(vector), now, p.liveOrigin(now))
}

// others leaves out the host's own component.
func (p *pumps) others(vector []syncwire.Component) []syncwire.Component {
	return replication.Others(vector, p.self)
}

// onlyOf leaves an origin's component.
func onlyOf(origin syncwire.ID, vector []syncwire.Component) []syncwire.Component {
	return slices.DeleteFunc(slices.Clone(vector), func(c syncwire.Component) bool { return c.Origin != origin })
}

// lacking compares the vector with those of the live peers.
func (p *pumps) lacking(live []*peer, now time.Time) []Lack {
	var lacks []Lack
	for _, known := range live {
		known.ahead = p.aheadSince(known, live, now)
	}
	for _, known := range live {
		if lack, is := p.lackOf(known, now); is {
			lacks = append(lacks, lack)
		}
		if known.uncovered >= 2 {
			continue // it does not have what it says
		}
		for _, c := range known.vector {
			if c.Origin == p.self || time.Duration(c.Age)*time.Second > p.settings.Longest() {
				continue
			}
			if origin := p.w.peers.withID(c.Origin); origin != nil && origin.live(now) {
				continue // it says itself what it has
			}
			if gap, is := p.vector.Gap(c.Origin, c.Highest); is {
				lacks = append(lacks, Lack{peer: known, Gap: gap, reason: gap.Orphaned(known.Address)})
			}
		}
	}
	return lacks
}

// aheadSince is since when a live peer has had more of another live peer's datagrams than this host; zero: none has.
func (p *pumps) aheadSince(known *peer, live []*peer, now time.Time) time.Time {
	for _, other := range live {
		for _, c := range other.vector {
			if c.Origin != known.ID || !known.stream.Started() || !c.Highest.Seq.After(known.stream.Next()-1) {
				continue
			}
			if known.ahead.IsZero() {
				return now
			}
			return known.ahead
		}
	}
	return time.Time{}
}

// lackOf compares the vector with what a peer's own module has reported.
func (p *pumps) lackOf(known *peer, now time.Time) (Lack, bool) {
	s := &known.stream
	lack := Lack{peer: known}
	if !known.greeted || !s.Started() {
		lack.pending, lack.since = true, known.since
		lack.reason = replication.Reason{Code: replication.NotGreeted, Peer: known.Address.String(),
			Text: fmt.Sprintf("peer %v has not said HELLO yet, so nobody knows what its table has", known.Address)}
		return lack, true
	}
	gap, is := p.vector.Gap(known.ID, syncwire.Position{Generation: known.generation, Seq: s.Next() - 1})
	c, _ := p.vector.Get(known.ID)
	switch {
	case is:
		first, _, _ := s.Complete()
		waits := s.MissingSince()
		lack.pending = !gap.Unknown && gap.Generations == 0 && !first.After(c.Complete.Seq+1) && !waits.IsZero()
		lack.Gap, lack.since = gap, waits
		lack.reason = gap.Reason(known.Address)
		if known.dropping {
			lack.reason.Remedy = "its module drops sessions: raise ss-capacity on that host, as `joolctl ready` says there"
		}
	case s.MayHaveRestarted():
		lack.pending, lack.Gap.Origin = true, known.ID
		lack.reason = replication.Reason{Code: replication.NumbersFall, Peer: known.Address.String(),
			Text: fmt.Sprintf("peer %v counts from a lower sequence number again", known.Address)}
	case !known.ahead.IsZero():
		lack.pending, lack.since, lack.Gap.Origin = true, known.ahead, known.ID
		lack.reason = replication.Reason{Code: replication.BehindOther, Peer: known.Address.String(),
			Text: fmt.Sprintf("peer %v: another peer has received more of its live datagrams", known.Address)}
	default:
		return lack, false
	}
	return lack, true
}

// judge sets the verdict, and requests a resync if sessions are missing that no repeat brings. It returns the time of the
// next call.
func (p *pumps) judge(now time.Time) (again time.Time) {
	live := p.look(now)
	if p.resync.phase == listening {
		return time.Time{}
	}
	sync := syncwire.SyncYes
	if len(live) == 0 {
		sync = syncwire.SyncAlone
	}
	for i := range p.lacks {
		l := &p.lacks[i]
		if at := l.since.Add(lackFor); l.pending && now.Before(at) {
			again = soonest(again, at)
			continue
		}
		sync = syncwire.SyncNo
		if !l.peer.greeted && !l.peer.asked {
			l.peer.asked, p.asks = true, true
			p.helloWithin(helloBack, now)
		}
	}
	for _, known := range live {
		again = soonest(again, known.liveUntil().Add(1))
	}
	p.wantLacks(live, now)
	p.conclude(sync, now)
	return again
}

// look finds out what the table lacks of the live peers' tables, and returns these.
func (p *pumps) look(now time.Time) (live []*peer) {
	p.advance(now)
	live = p.w.peers.all(now)
	greeted := !slices.ContainsFunc(live, func(known *peer) bool { return !known.greeted })
	if p.resync.phase < collecting && greeted { // else the table may get some of the sessions after the generation has risen
		vectors := make([][]syncwire.Component, len(live))
		for i, known := range live {
			vectors[i] = known.vector
		}
		datagrams, took := p.vector.TakeOver(vectors)
		p.w.counters.writtenOff.Add(datagrams)
		if took {
			p.missed(now)
		}
	}
	p.lacks = p.lacking(live, now)
	p.settleUnclaimed(now)
	return live
}

// stores notes that a full sync stores sessions of a peer's table.
func (p *pumps) stores(of syncwire.ID, now time.Time) {
	if p.unclaimed == nil {
		p.unclaimed = make(map[syncwire.ID]time.Time)
	}
	p.unclaimed[of] = now
}

// settleUnclaimed looks at the peers whose sessions were stored by a full sync lately. Their tables had sessions that no
// vector claimed yet: the module had not reported them, or they came in live datagrams that this host has not received. If
// such a peer is gone, nobody else claims these sessions, so this host does.
func (p *pumps) settleUnclaimed(now time.Time) {
	if p.resync.phase == listening || p.resync.phase >= collecting {
		return // a peer that has not been heard yet may be there; or the table gets sessions after the generation has risen
	}
	for id, stored := range p.unclaimed {
		known := p.w.peers.withID(id)
		switch {
		case known == nil || !known.live(now):
			delete(p.unclaimed, id)
			p.missed(now)
		case len(p.lacks) == 0 && known.hello.Sub(stored) > reportedWithin:
			delete(p.unclaimed, id)
		}
	}
}

// conclude lets others see the verdict.
func (p *pumps) conclude(sync syncwire.Sync, now time.Time) {
	r := &p.resync
	var reasons []replication.Reason
	if sync == syncwire.SyncNo {
		for _, l := range p.lacks[:min(len(p.lacks), maxLacks)] {
			reasons = append(reasons, p.dated(l, now))
		}
	}
	changed := r.sync != sync
	was := r.sync
	r.sync = sync
	if changed {
		p.log(was, reasons, now)
		p.publishSync()
		p.helloSoon(now)
	}
	if changed || !slices.Equal(reasons, p.told) {
		p.told = reasons
		p.w.change(now, func(s *SyncState) { s.Lacking = reasons })
	}
}

// dated returns a lack's reason with the moment since when there has been this reason for this peer.
func (p *pumps) dated(l Lack, now time.Time) replication.Reason {
	reason := l.reason
	reason.Since = now
	for _, before := range p.told {
		if before.Code == reason.Code && before.Peer == reason.Peer && before.Since.Before(reason.Since) {
			reason.Since = before.Since
		}
	}
	return reason
}

// log tells an operator that the verdict has changed.
func (p *pumps) log(was syncwire.Sync, reasons []replication.Reason, now time.Time) {
	switch sync := p.resync.sync; {
	case sync == syncwire.SyncYes:
		p.w.log.to.Info("the table has everything that the peers' tables have")
	case sync == syncwire.SyncAlone && was == syncwire.SyncYes:
		p.w.log.warn("no peer is heard any more; alone")
	case sync == syncwire.SyncNo && was == syncwire.SyncYes:
		lines := make([]string, len(reasons))
		for i, reason := range reasons {
			lines[i] = reason.Line(now)
		}
		p.w.log.warn("the table lacks sessions", "reasons", lines)
	}
}

// wantLacks requests a resync if sessions are missing that no repeat brings.
func (p *pumps) wantLacks(live []*peer, now time.Time) {
	r := &p.resync
	at := slices.IndexFunc(p.lacks, func(l Lack) bool { return !l.pending })
	if at < 0 {
		if r.phase == settled && r.why == whyLacks {
			r.why, r.about, r.pause = "", nil, 0
		}
		return
	}
	about := p.lacks[at].peer
	earliest := now
	if about.dropping {
		earliest = maxTime(about.droppingSince.Add(dropsLast), r.ended.Add(dropsCost*r.cost))
	} else if about.Sync == syncwire.SyncNo { // it is about to ask, and gives back what it has
		for _, other := range live {
			if other.Sync == syncwire.SyncNo && other.ID < p.self {
				earliest = earliest.Add(askFirstBy)
			}
		}
	}
	r.wantAfter(whyLacks, about, earliest, now)
}

// best is the peer to ask for its table: of those that are live and not among tried, one that has most of what is missing.
func (p *pumps) best(tried []syncwire.ID, now time.Time) *peer {
	var best *peer
	most := -1
	for _, known := range p.w.peers.all(now) {
		if slices.Contains(tried, known.ID) {
			continue
		}
		n := 0
		for _, l := range p.lacks {
			if l.peer == known || l.Gap.Origin == known.ID {
				n++
			}
		}
		if best == nil || n > most || n == most && better(known, best) {
			best, most = known, n
		}
	}
	return best
}

// judgeClaims notes whether a full sync has brought what its sender said before that it has of origins that are gone. Who
// does not have it twice is not believed.
func (p *pumps) judgeClaims(in *incoming, now time.Time) {
	if !in.asked {
		return
	}
	live := p.look(now)
	in.from.uncovered++
	for _, c := range in.claimed {
		if slices.ContainsFunc(live, func(known *peer) bool { return known.ID == c.Origin }) || c.Origin == p.self {
			continue
		}
		if !p.vector.Contains(c.Origin, c.Highest) {
			return
		}
	}
	in.from.uncovered = 0
}

// dropping reports whether the module drops sessions that it should report.
func (p *pumps) dropping(now time.Time) bool { return now.Sub(p.audit.dropped) < droppingFor }
