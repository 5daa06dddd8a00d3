package replication

import (
	"slices"
	"time"

	"joolctl/syncwire"
)

const (
	// HelloBack is within what time a HELLO that asks is answered, so that not all peers answer at once.
	HelloBack = 100 * time.Millisecond
	// While a peer's module drops sessions, reading its table makes it drop more. So a full sync from that peer starts only when
	// the drops have lasted for DropsLast, and dropsCost times as long after the last full sync as that one took.
	DropsLast = 30 * time.Second
	dropsCost = 9
	// askFirstBy is how much later a host requests a full sync for each peer that is expected to request one before it. A
	// peer that requests one sends back the sessions that its sender lacks.
	askFirstBy = time.Second
)

// Doubt notes that the table may lack sessions of any origin.
func (r *Receiver) Doubt(now time.Time) {
	r.knowledge.Doubt(now)
	r.sender.Doubt()
	r.host.Wake(now)
}

// Missed notes that the own table has got sessions, or may have, that are in no live datagram: peers need a full sync for
// them.
func (r *Receiver) Missed(now time.Time) {
	r.knowledge.Gain()
	r.host.HelloSoon(now)
}

// ReportsLost notes that reports of the own module were lost. A full sync must not overwrite their sessions.
func (r *Receiver) ReportsLost(now time.Time) {
	r.reported.Miss()
	r.Missed(now)
}

// Hello takes a peer's HELLO that arrived at the time came. last is the number of the peer's last live datagram. It returns
// whether the peer expects a HELLO in return, and whether the HELLO is current. Of an outdated one it takes nothing else.
func (r *Receiver) Hello(from *Peer, h *syncwire.Hello, last syncwire.Seq, came, now time.Time) (answer, current bool) {
	if from.Outdated(h, last) {
		return h.Asks, false
	}
	before := from.Sessions
	isNew := !from.Greeted()
	_, dropped := from.Dropping()
	deaf := from.Sync == syncwire.SyncAlone // it heard nobody, so it did not get what this host requested
	from.Greet(h, r.host.Settings(), came)
	if h.Generation == 0 && last == 0 {
		r.knowledge.Empty(from.ID)
	}
	if dropped && !h.Dropping || deaf && h.Sync != syncwire.SyncAlone { // this host may request a full sync again
		r.Unwant(CauseLacks, from)
	}
	switch {
	case h.Sync != syncwire.SyncNo && from.LargerTable.Lasts(before, h.Sessions, r.host.Sessions(), now):
		r.Suspect(CauseLargerTable, from, now)
	case from.LargerTable.Gone():
		r.Unwant(CauseLargerTable, from)
	}
	if r.phase == PhaseListening {
		r.due = Earliest(r.due, now.Add(ListenForMore))
	}
	return h.Asks || isNew, true
}

// Look compares the host's vector with those of the live peers, and returns these.
func (r *Receiver) Look(now time.Time) (live []*Peer) {
	r.knowledge.Advance(now)
	r.loseBlocked(now)
	live = r.peers.Live(now)
	if r.phase < PhaseCollecting {
		datagrams, risen := r.knowledge.TakeOver(live)
		if datagrams > 0 {
			r.host.Emit(WrittenOff{datagrams})
		}
		if risen {
			r.host.HelloSoon(now)
		}
	}
	r.knowledge.Compare(live, now)
	// While the host listens, a peer that has not been heard yet may be there. While a full sync arrives, the table may get
	// sessions after the generation has risen.
	if r.phase != PhaseListening && r.phase < PhaseCollecting && r.knowledge.ClaimOrphans(now) {
		r.host.HelloSoon(now)
	}
	return live
}

// Judge renews the verdict, and wants a full sync if sessions are missing that no retransmission brings. It returns when to
// call it again; zero: no need.
func (r *Receiver) Judge(now time.Time) (again time.Time) {
	live := r.Look(now)
	if r.phase == PhaseListening {
		return time.Time{}
	}
	v := r.knowledge.Verdict(live, r.sync == syncwire.SyncNo, r.reasons, now)
	if v.AskHello {
		r.host.AskHellos(HelloBack, now)
	}
	r.wantLacks(live, now)
	r.wantBlocked(now)
	r.conclude(v, now)
	return v.Next
}

// conclude takes a verdict.
func (r *Receiver) conclude(v Verdict, now time.Time) {
	was, reasons := r.sync, r.reasons
	r.sync, r.reasons = v.Sync, v.Reasons
	r.complete = r.complete || v.Sync != syncwire.SyncNo
	if v.Sync != was {
		r.host.Emit(VerdictChanged{Was: was, Verdict: v})
		r.host.HelloSoon(now)
	}
	if v.Sync != was || !slices.Equal(v.Reasons, reasons) {
		r.host.Progressed(now)
	}
}

// wantLacks wants a full sync if sessions are missing that no retransmission brings. Of several peers whose sessions are missing, the
// one that may be asked first counts: another one may not be asked for long, or never satisfy what it claims.
func (r *Receiver) wantLacks(live []*Peer, now time.Time) {
	lost := r.knowledge.Lost()
	if r.phase == PhaseSettled && r.Cause == CauseLacks && !slices.Contains(lost, r.About) {
		r.Drop()
	}
	for _, about := range lost {
		r.WantAfter(CauseLacks, about, r.mayAsk(about, live, now), now)
	}
}

// mayAsk returns when a peer whose sessions are missing may be asked for its table.
func (r *Receiver) mayAsk(about *Peer, live []*Peer, now time.Time) time.Time {
	if since, dropping := about.Dropping(); dropping {
		return Latest(since.Add(DropsLast), r.Idle(dropsCost))
	}
	earliest := now
	if about.Sync == syncwire.SyncNo { // it is about to request a full sync, and sends back what it has
		// A host that starts requests one at once. Live datagrams wait for a full sync, so a host that was complete does better with
		// the few sessions that are sent back.
		starts := r.complete && about.WasComplete.IsZero()
		for _, other := range live {
			if other.Sync == syncwire.SyncNo && (other.ID < r.knowledge.Self() || other == about && starts) {
				earliest = earliest.Add(askFirstBy)
			}
		}
	}
	return earliest
}

// verify wants a full sync every now and then, while sessions flow, and returns when to call it again; zero: no need. One of
// two hosts is enough: the other gets back what it lacks.
func (r *Receiver) verify(now time.Time) time.Time {
	if r.Verify <= 0 || r.sync != syncwire.SyncYes || r.phase != PhaseSettled || r.Cause != "" {
		return time.Time{}
	}
	r.verified = Latest(r.verified, r.sender.Served()) // the receiver compares, and returns what is missing here
	// Not all hosts, nor all pairs of a host, at once.
	due := r.Beats.At(r.verified.Add(r.Verify+r.Verify/4*time.Duration(r.knowledge.Self()%256)/256), IdleBeat)
	if now.Before(due) {
		return due
	}
	if r.host.Active().Before(r.verified) || len(r.peers.Live(now)) == 0 {
		r.verified = now // the table is the same since, or no peer is live
		return time.Time{}
	}
	r.Suspect(CauseVerification, nil, now)
	return r.Due()
}
