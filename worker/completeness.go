package worker

import (
	"slices"
	"time"

	"joolctl/replication"
	"joolctl/syncwire"
)

const (
	// droppingFor is how long the module must not have dropped sessions for its drops to be over.
	droppingFor = 2 * time.Second
	// While a peer's module drops sessions, reading its table makes it drop more. So a full sync from that peer starts only when
	// the drops have lasted for dropsLast, and dropsCost times as long after the last full sync as that one took.
	dropsLast = 30 * time.Second
	dropsCost = 9
	// askFirstBy is how much later a host requests a full sync for each peer that is expected to request one before it. A
	// peer that requests one sends back the sessions that its sender lacks.
	askFirstBy = time.Second
)

// doubt notes that the table may lack sessions of any origin.
func (p *pumps) doubt(now time.Time) {
	p.knowledge.Doubt(now)
	p.sender.Doubt()
	p.wake(now)
}

// look compares the host's vector with those of the live peers, and returns these.
func (p *pumps) look(now time.Time) (live []*replication.Peer) {
	p.knowledge.Advance(now)
	live = p.peers.Live(now)
	if p.resync.phase < collecting {
		datagrams, risen := p.knowledge.TakeOver(live)
		p.w.counters.writtenOff.Add(datagrams)
		if risen {
			p.helloSoon(now)
		}
	}
	p.knowledge.Compare(live, now)
	// While the host listens, a peer that has not been heard yet may be there. While a full sync arrives, the table may get
	// sessions after the generation has risen.
	if p.resync.phase != listening && p.resync.phase < collecting && p.knowledge.ClaimOrphans(now) {
		p.helloSoon(now)
	}
	return live
}

// judge publishes the verdict, and requests a full sync if sessions are missing that no retransmission brings. It returns
// when to call it again; zero: no need.
func (p *pumps) judge(now time.Time) (again time.Time) {
	live := p.look(now)
	if p.resync.phase == listening {
		return time.Time{}
	}
	v := p.knowledge.Verdict(live, p.reasons, now)
	if v.AskHello {
		p.asks = true
		p.helloWithin(helloBack, now)
	}
	p.wantLacks(live, now)
	p.conclude(v, now)
	return v.Next
}

// conclude publishes a verdict.
func (p *pumps) conclude(v replication.Verdict, now time.Time) {
	r := &p.resync
	was := r.sync
	r.sync = v.Sync
	if v.Sync != was {
		p.log(was, v, now)
		p.publishSync()
		p.helloSoon(now)
	}
	if v.Sync != was || !slices.Equal(v.Reasons, p.reasons) {
		p.reasons = v.Reasons
		p.w.change(now, func(s *SyncState) { s.Lacking = v.Reasons })
	}
}

// log tells an operator that the verdict has changed.
func (p *pumps) log(was syncwire.Sync, v replication.Verdict, now time.Time) {
	switch {
	case v.Sync == syncwire.SyncYes:
		p.w.log.to.Info("the table has everything that the peers' tables have")
	case v.Sync == syncwire.SyncAlone && was == syncwire.SyncYes:
		p.w.log.warn("no peer is heard any more; alone")
	case v.Sync == syncwire.SyncNo && was == syncwire.SyncYes:
		lines := make([]string, len(v.Reasons))
		for i, reason := range v.Reasons {
			lines[i] = reason.Line(now)
		}
		p.w.log.warn("the table lacks sessions", "reasons", lines)
	}
}

// wantLacks requests a full sync if sessions are missing that no retransmission brings.
func (p *pumps) wantLacks(live []*replication.Peer, now time.Time) {
	r := &p.resync
	lost := p.knowledge.Lost()
	if lost == nil {
		if r.phase == settled && r.Cause == replication.CauseLacks {
			r.Drop()
		}
		return
	}
	about := lost.Peer
	earliest := now
	if since, dropping := about.Dropping(); dropping {
		earliest = replication.Latest(since.Add(dropsLast), r.Idle(dropsCost))
	} else if about.Sync == syncwire.SyncNo { // it is about to request a full sync, and sends back what it has
		for _, other := range live {
			if other.Sync == syncwire.SyncNo && other.ID < p.knowledge.Self() {
				earliest = earliest.Add(askFirstBy)
			}
		}
	}
	r.WantAfter(replication.CauseLacks, about, earliest, now)
}

// judgeClaims notes whether a full sync has brought what its sender had claimed of origins that are gone.
func (p *pumps) judgeClaims(in *incoming, now time.Time) {
	if in.asked {
		p.knowledge.JudgeClaims(in.from, in.claimed, p.look(now))
	}
}

// dropping reports whether the module drops sessions that it should report.
func (p *pumps) dropping(now time.Time) bool { return now.Sub(p.audit.dropped) < droppingFor }
