package worker

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"joolctl/joolnl"
	"joolctl/replication"
	"joolctl/session"
	"joolctl/syncwire"
)

const (
	// helloBusy is the interval between HELLOs under traffic.
	helloBusy = time.Second
	// helloBack is within what time a HELLO that asks is answered, so that not
	// all answer at once.
	helloBack = 100 * time.Millisecond
	// software is what HELLO calls us.
	software = "joolctl"
)

// controls is what a worker has to say beside sessions.
type controls struct {
	settings syncwire.Settings
	// lifetimes follow from settings.
	lifetimes *session.Lifetimes
	hello     time.Time    // when the next is due
	asks      bool         // it asks for HELLOs back
	active    time.Time    // when sessions were last sent or received
	kernel    joolnl.Stats // the instance's counters, as last read
	counted   bool         // they have been
	messages  []byte
	bulkIn    syncwire.Bulk // the one that is received
	injectBuf []byte
}

// settingsOf is what peers should agree on, but for pool4, of a module of a version.
func settingsOf(g joolnl.Globals, v joolnl.Version) syncwire.Settings {
	ms := func(d time.Duration) uint32 { return uint32(d.Milliseconds()) }
	s := syncwire.Settings{
		Pool6:           g.Pool6,
		TTLs:            [4]uint32{ms(g.TCPEstablished), ms(g.TCPTransitory), ms(g.UDP), ms(g.ICMP)},
		SSCapacity:      g.SSCapacity,
		SSMaxSessions:   g.SSMaxSessions,
		SSFlushDeadline: ms(g.SSFlushDeadline),
		SSMaxPayload:    g.SSMaxPayload,
	}
	if v.FlushesASAP() {
		s.SSFlushASAP = syncwire.SwitchOf(g.SSFlushASAP)
	}
	return s
}

func newID(random *rand.Rand) syncwire.ID { return syncwire.ID(random.Uint32() | 1) }

// sendControl sends a control message to the group.
func (p *pumps) sendControl(body syncwire.Body) {
	if !p.sequence {
		return
	}
	b := syncwire.Message{Sender: p.knowledge.Self(), Last: p.knowledge.Position().Seq, Body: body}.Append(p.room(p.messages))
	if !p.held {
		p.messages = b
	}
	p.put(b, note{control: true})
}

// fromPeer takes a datagram that begins with 00 00 and came to the host at came.
func (p *pumps) fromPeer(address netip.Addr, data []byte, came, now time.Time) {
	m, err := syncwire.ParseWith(&p.bulkIn, data)
	switch {
	case syncwire.Unknown(err):
		p.peers.Garbled(address, now)
		p.w.counters.notUnderstood.Add(1)
		return
	case err != nil:
		p.peers.Garbled(address, now)
		p.w.counters.malformed.Add(1)
		p.w.log.warn("dropped a malformed control message", "from", address, "error", err)
		return
	case m.Sender == p.knowledge.Self():
		return
	}
	from := p.peers.Heard(address, m.Sender, now)
	if from.Stream.ExpectUpTo(m.Last, now, p.deliverFn); from.Stream.Waiting() {
		p.peers.Stored(from.ID, now)
	}
	switch b := m.Body.(type) {
	case *syncwire.Hello:
		p.helloFrom(from, b, m.Last, now)
	case *syncwire.Solicit:
		if b.To == p.knowledge.Self() {
			p.sender.Solicited(m.Sender, now)
		}
	case *syncwire.Nack:
		p.nackFrom(b, m.Sender, now)
	case *syncwire.Gone:
		p.goneFrom(from, b, now)
	case *syncwire.Begin:
		p.resync.begin(b, from, came, now)
	case *syncwire.Bulk:
		p.resync.bulk(b, from, came, now)
	case *syncwire.End:
		p.resync.end(b, from, now)
	}
	p.wake(now)
}

// helloFrom takes a peer's HELLO.
func (p *pumps) helloFrom(from *replication.Peer, h *syncwire.Hello, last syncwire.Seq, now time.Time) {
	before := from.Sessions
	isNew := !from.Greeted()
	_, dropped := from.Dropping()
	from.Greet(h, &p.settings, now)
	if h.Generation == 0 && last == 0 {
		p.knowledge.Empty(from.ID)
	}
	if dropped && !h.Dropping { // nothing keeps this host from requesting a full sync any more
		p.resync.Unwant(replication.CauseLacks, from)
	}
	if h.Asks || isNew {
		p.helloWithin(helloBack, now)
	}
	switch ours := p.sessions(); {
	case h.Sync != syncwire.SyncNo && from.Shortfall.Lasts(before, h.Sessions, ours, now):
		p.resync.Suspect(replication.CauseShortfall, from, now)
	case from.Shortfall.Gone():
		p.resync.Unwant(replication.CauseShortfall, from)
	}
	if h.Sync != syncwire.SyncNo {
		p.w.change(now, func(s *SyncState) { s.CompletePeer = now })
	}
	if r := &p.resync; r.phase == listening {
		r.due = replication.Earliest(r.due, now.Add(collectFor))
	}
}

// helloWithin sends a HELLO at a random moment within d, unless one is due by
// then: many may ask at once.
func (p *pumps) helloWithin(d time.Duration, now time.Time) {
	if p.hello.After(now.Add(d)) {
		p.hello = now.Add(time.Duration(p.random.Int64N(int64(d))))
	}
}

// helloSoon tells peers about a change.
func (p *pumps) helloSoon(now time.Time) { p.helloWithin(helloBack/10, now) }

// sendHello says that we live.
func (p *pumps) sendHello(now time.Time) {
	p.sendBatch()                     // it tells what has left
	if !now.Equal(p.audit.answered) { // the module has been asked for something else
		p.readKernel(now)
	}
	interval := replication.HelloIdle
	p.hello = p.together(now.Add(replication.HelloIdle), idleBeat)
	if !p.idle(now) || p.resync.phase != settled {
		interval = helloBusy
		p.hello = p.together(now.Add(helloBusy), beat)
	}
	p.sendControl(&syncwire.Hello{
		Asks: p.asks, Dropping: p.dropping(now), Sync: p.resync.sync, NextIn: uint8(interval / time.Second), Sessions: uint32(p.sessions()),
		Module: uint32(p.version), Settings: p.settings, Software: software, Generation: p.knowledge.Position().Generation, Vector: p.knowledge.Components(now),
	})
	p.asks = false
}

// idle says whether there has been no traffic for a while.
func (p *pumps) idle(now time.Time) bool { return now.Sub(p.active) >= replication.HelloIdle }

// sessions is how many the instance held when it was last asked.
func (p *pumps) sessions() int { return int(p.kernel.Get(joolnl.StatSessions)) }

// readKernel reads the instance's counters.
func (p *pumps) readKernel(now time.Time) {
	stats, err := p.module.AskStats()
	if err != nil {
		p.w.Check()
		return
	}
	p.kernelSays(stats, now)
}

// kernelSays takes the instance's counters and notices what they tell: that the
// module dropped sessions that peers will miss, or that the instance is new.
func (p *pumps) kernelSays(stats joolnl.Stats, now time.Time) {
	old, counted := p.kernel, p.counted
	p.kernel, p.counted = stats, true
	if !counted {
		old = stats
	}
	dropped := uint64(0)
	if before, n := old.Get(joolnl.StatSessionsDropped), stats.Get(joolnl.StatSessionsDropped); n > before {
		dropped = n - before
	}
	anew := recreated(&old, &stats)
	if anew {
		p.audit.rebase()
	}
	p.auditKernel(&stats, dropped, now)
	if dropped > 0 {
		p.w.log.warn("the module dropped sessions because they came too fast; peers get them by a resync",
			"dropped", dropped)
		p.hasten(now)
		p.missed(now)
	}
	if anew {
		p.resync.renewed(now)
	}
}

// missed notes that the own table has got sessions, or may have, that are in no live datagram: peers have to ask for them.
func (p *pumps) missed(now time.Time) {
	p.knowledge.Gain()
	p.helloSoon(now)
}

// recreated reports whether a counter that only rises has fallen. A standby translates nothing, so its instance counts
// only the sessions that it was given.
func recreated(old, now *joolnl.Stats) bool {
	for _, s := range []joolnl.Stat{joolnl.StatReceived6, joolnl.StatPacketsRcvd, joolnl.StatSessionsRcvd, joolnl.StatSessionsSent} {
		if now.Get(s) < old.Get(s) {
			return true
		}
	}
	return false
}

// nackFrom repeats what a peer asks for, or leaves it to others to ask.
func (p *pumps) nackFrom(n *syncwire.Nack, by syncwire.ID, now time.Time) {
	switch {
	case n.To != p.knowledge.Self():
		if sender := p.peers.WithID(n.To); sender != nil && n.Resync == 0 {
			sender.Stream.Suppress(n.Ranges, now)
		}
	case n.Resync != 0:
		p.sender.Requested(n, by, now)
	default:
		p.gather(func() { p.repeat(n.Ranges, by, now) })
	}
}

// answer sends a control message because of a peer's, unless there were too many of them lately.
func (p *pumps) answer(body syncwire.Body, now time.Time) {
	if p.retransmit.MayReply(now) {
		p.sendControl(body)
	}
}

// repeat retransmits the live datagrams that a peer requests, and says which of them are not to be had any more.
func (p *pumps) repeat(ranges []syncwire.Range, by syncwire.ID, now time.Time) {
	out, gone, superseded := p.retransmit.Requested(ranges, p.format, p.out, now, func(entries []byte, seq syncwire.Seq) {
		p.sendDatagram(entries, syncwire.Trailer{Kind: syncwire.Repeat, Sender: p.knowledge.Self(), Seq: seq})
	})
	p.out = out
	for _, answer := range []*syncwire.Gone{{To: by, Ranges: gone}, {To: by, Ranges: superseded, Superseded: true}} {
		for len(answer.Ranges) > 0 {
			n := min(len(answer.Ranges), syncwire.MaxRanges)
			p.answer(&syncwire.Gone{To: by, Ranges: answer.Ranges[:n], Superseded: answer.Superseded}, now)
			answer.Ranges = answer.Ranges[n:]
		}
	}
}

// goneFrom takes a sender's word that something is not to be had any more.
func (p *pumps) goneFrom(from *replication.Peer, g *syncwire.Gone, now time.Time) {
	if g.Resync != 0 {
		if g.To == p.knowledge.Self() && p.resync.in != nil && p.resync.in.from == from {
			p.resync.gone(g, now)
		}
		return
	}
	from.Stream.Gone(g.Ranges, !g.Superseded)
}

// jitter spreads what several receivers ask for at the same moment.
func (p *pumps) jitter() time.Duration {
	return time.Duration(p.random.Int64N(int64(10 * time.Millisecond)))
}

// tick does everything that is due, and sets the timer for the next time. The
// thread's memory is not for who asks the module: hundreds of threads do so at the
// same moment, and each would have some while it waits.
func (p *pumps) tick() {
	p.thread.Quietly(p.conn.Asker(), func() {
		now := p.do.now()
		next := p.askWhenDue(now)
		p.borrow(func() { p.timer.Set(p.tickFlow(now, next)) })
	})
}

// tickFlow does what is due of the flow, and returns when the next is, if that is
// sooner than next.
func (p *pumps) tickFlow(now, next time.Time) time.Time {
	sooner := func(at time.Time) { next = soonest(next, at) }
	sooner(p.refresh(now))
	sooner(p.advertise.tick(now))
	if p.sequence {
		p.auditPeers()
		for _, from := range p.peers.All() {
			sooner(p.tickStream(from, now))
		}
		p.toKernel()
		sooner(p.judge(now))
		sooner(p.resync.verify(now))
		sooner(p.resync.tick(now))
		sooner(p.sender.Tick(now))
		if !now.Before(p.hello) {
			p.sendHello(now)
		}
		sooner(p.hello)
		p.freeIdle(now)
	}
	return next
}

// wake has tick called soon, to see what has come to be due.
func (p *pumps) wake(now time.Time) { p.timer.SetSooner(now) }

// tickStream asks a peer for what is missing of it.
func (p *pumps) tickStream(from *replication.Peer, now time.Time) time.Time {
	if !from.Stream.Waiting() {
		return time.Time{}
	}
	lost := from.Stream.Lost()
	ask, again := from.Stream.Tick(now, p.deliverFn)
	if len(ask) > 0 {
		p.answer(&syncwire.Nack{To: from.ID, Ranges: ask}, now)
	}
	if from.Stream.Lost() != lost {
		p.publishPeers()
	}
	return again
}

// freeIdle lets go of what only traffic needs, once there is none.
func (p *pumps) freeIdle(now time.Time) {
	if p.retransmit.Indexed() {
		p.retransmit.Expire(now)
	}
	if now.Sub(p.active) > time.Minute {
		p.retransmit.Free()
		if p.coalesce.Idle() {
			p.coalesce.Free()
		}
	}
}
