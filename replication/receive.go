package replication

import (
	"net/netip"
	"time"

	"joolctl/session"
	"joolctl/syncwire"
)

// MuchWaiting is how long a datagram must have waited in the socket, because the process was stopped, for its sessions to be
// older than they say.
const MuchWaiting = time.Second

// Received takes a datagram with sessions that have passed session.CheckList, and the bytes behind them. The datagram has waited
// in the socket. Received may change entries.
func (h *Host) Received(address netip.Addr, entries, trailer []byte, waited time.Duration, now time.Time) {
	h.active = now
	arrived := now.Add(-waited)
	if waited >= MuchWaiting {
		session.AgeList(entries, waited)
	}
	t, known := syncwire.ParseTrailer(trailer)
	switch {
	case !known || !h.Sequence:
		if len(trailer) > 0 {
			h.do.Count(CountNotUnderstood, 1)
		}
		from := h.Peers.Heard(address, 0, arrived)
		h.Peers.Stored(0, now)
		from.waited(waited, now)
		h.deliverLive(from, entries)
	case t.Sender == h.Knowledge.Self():
		h.ignore(ignoredOwn, entries)
	case t.Kind == syncwire.Advertised: // for upstream's peers; other peers get BULKs
		h.Peers.Heard(address, t.Sender, arrived)
		h.ignore(ignoredAdvertised, entries)
	default:
		from := h.Peers.Heard(address, t.Sender, arrived)
		from.waited(waited, now)
		if t.Kind == syncwire.Retransmission {
			h.deliverRetransmissions(&from.Stream)
			if waited < MuchWaiting {
				session.AgeList(entries, waited)
			}
		}
		if !from.Stream.Receive(t.Kind, t.Seq, entries, now, h.delivers(from)) {
			h.ignore(ignoredDatagram, entries)
		} else {
			h.Peers.Stored(t.Sender, now)
		}
		if until, buffering := from.Stream.Buffering(); buffering {
			h.do.Wake(until)
		}
	}
}

// waited notes how long a datagram of the peer has waited in the socket. Behind a gap it is buffered.
func (k *Peer) waited(d time.Duration, now time.Time) {
	if d >= MuchWaiting {
		k.lateUntil = now.Add(2 * ReorderFor)
	}
}

// delivers returns the function that delivers the live datagrams of a peer. It is made once because it costs an allocation.
func (h *Host) delivers(from *Peer) func([]byte) {
	if from.deliver == nil {
		from.deliver = func(entries []byte) { h.deliverLive(from, entries) }
	}
	return from.deliver
}

// deliverLive delivers the sessions of a peer's live datagram. While datagrams of the peer are delivered that have waited in the
// socket, the own module may have reported newer states of their sessions, which JOOLD_ADD would overwrite.
func (h *Host) deliverLive(from *Peer, entries []byte) {
	switch {
	case !h.do.Now().Before(from.lateUntil):
		h.deliver(entries)
	case from.ID != 0:
		h.deliverRetransmitted(entries)
	default: // no full sync brings what is dropped of an unnumbered datagram
		if entries = h.withoutOlder(entries, false, h.do.Now()); len(entries) > 0 {
			h.deliver(entries)
		}
	}
}

// deliver stores sessions of any format in the module: at once, or after the full sync under way.
func (h *Host) deliver(entries []byte) {
	h.supersede(entries)
	h.advertise.reported.AddList(entries)
	if !h.Receiver.Queue(entries, false) {
		h.do.Store(entries)
	}
}

// deliverQueued stores live sessions that have waited for a full sync.
func (h *Host) deliverQueued(entries []byte, retransmitted bool, now time.Time) {
	if retransmitted {
		entries = h.withoutOlder(entries, true, now)
	}
	if len(entries) > 0 {
		h.do.Store(entries)
	}
}

// supersede drops the refreshes of sessions that a peer has just reported.
func (h *Host) supersede(entries []byte) {
	if h.Coalescer.Idle() {
		return
	}
	for f := session.ListFormat(entries); len(entries) > 0; entries = entries[f.EntryLen():] {
		r := f.Record(entries)
		h.Coalescer.Supersede(&r)
	}
}

// Message takes a control message that arrived at the time came.
func (h *Host) Message(address netip.Addr, data []byte, came, now time.Time) {
	if !h.Sequence {
		h.Peers.Garbled(address, now)
		h.do.Count(CountNotUnderstood, 1)
		return
	}
	m, err := syncwire.ParseWith(&h.bulk, data)
	switch {
	case syncwire.Unknown(err):
		h.Peers.Garbled(address, now)
		h.do.Count(CountNotUnderstood, 1)
		return
	case err != nil:
		h.Peers.Garbled(address, now)
		h.do.Count(CountMalformed, 1)
		h.do.Emit(MessageDropped{address, err})
		return
	case m.Sender == h.Knowledge.Self():
		return
	}
	from := h.Peers.Heard(address, m.Sender, came)
	if from.Stream.ExpectUpTo(m.Last, now, h.delivers(from)); from.Stream.Waiting() {
		h.Peers.Stored(from.ID, now)
	}
	switch b := m.Body.(type) {
	case *syncwire.Hello:
		if b.Padded {
			from.padded, from.paddedAt = len(data), came
		} else {
			h.Hello(from, b, m.Last, came, now)
		}
	case *syncwire.Solicit:
		if b.To == h.Knowledge.Self() {
			h.Sender.Solicited(m.Sender, now)
		}
	case *syncwire.Nack:
		h.nack(b, m.Sender, now)
	case *syncwire.Gone:
		if b.FullSync != 0 {
			h.Receiver.Gone(b, from, now)
		} else {
			from.Stream.Gone(b.Ranges, !b.Superseded)
		}
	case *syncwire.Begin:
		h.Receiver.Begin(b, from, came, now)
	case *syncwire.Bulk:
		h.Receiver.Bulk(b, from, came, now)
	case *syncwire.End:
		h.Receiver.End(b, from, now)
	}
	h.do.Wake(now)
}

// nack takes a NACK: it retransmits what it requests of this host, or delays the own NACK for the same datagrams.
func (h *Host) nack(n *syncwire.Nack, by syncwire.ID, now time.Time) {
	switch {
	case n.To != h.Knowledge.Self():
		if sender := h.Peers.WithID(n.To); sender != nil && n.FullSync == 0 {
			sender.Stream.Suppress(n.Ranges, now)
		}
	case n.FullSync != 0:
		h.Sender.Requested(n, by, now)
	default:
		h.do.OpenBatch()
		h.repeat(n.Ranges, by, now)
		h.do.Flush()
	}
}

// repeat retransmits live datagrams that a peer requests, and says which of them cannot be retransmitted any more.
func (h *Host) repeat(ranges []syncwire.Range, by syncwire.ID, now time.Time) {
	s := h.do.Scratch()
	out, gone, superseded := h.Retransmitter.Requested(ranges, h.Format, s.Out, now, h.retransmitFn)
	s.Out = out
	for _, answer := range []*syncwire.Gone{{To: by, Ranges: gone}, {To: by, Ranges: superseded, Superseded: true}} {
		for len(answer.Ranges) > 0 {
			n := min(len(answer.Ranges), syncwire.MaxRanges)
			h.reply(&syncwire.Gone{To: by, Ranges: answer.Ranges[:n], Superseded: answer.Superseded}, now)
			answer.Ranges = answer.Ranges[n:]
		}
	}
}

// retransmit sends a live datagram again.
func (h *Host) retransmit(entries []byte, seq syncwire.Seq) {
	h.do.Transmit(entries, syncwire.Trailer{Kind: syncwire.Retransmission, Sender: h.Knowledge.Self(), Seq: seq})
}

// reply sends a control message because of a peer's, unless there were too many of them lately.
func (h *Host) reply(body syncwire.Body, now time.Time) {
	if h.Retransmitter.MayReply(now) {
		h.send(body, nil)
	}
}

// send sends a control message to an audience; none: to all peers. A message that names one peer goes to that peer.
func (h *Host) send(body syncwire.Body, audience []syncwire.ID) {
	if !h.Sequence {
		return
	}
	h.Limits.Shorten(body)
	if id, one := addressee(body); one {
		h.to[0] = id
		audience = h.to[:]
	}
	h.do.Message(syncwire.Message{Sender: h.Knowledge.Self(), Last: h.Knowledge.Position().Seq, Body: body}, audience)
}

// addressee returns the only peer that a message is for. Other peers use only the message's header, and a NACK, which
// delays their own NACKs for the same datagrams. A GONE may make a NACK of theirs unnecessary, but they do not depend on
// it.
func addressee(body syncwire.Body) (id syncwire.ID, one bool) {
	switch b := body.(type) {
	case *syncwire.Solicit:
		return b.To, true
	case *syncwire.Nack:
		return b.To, true
	case *syncwire.Gone:
		return b.To, true
	}
	return 0, false
}

// tickStream requests what is missing of a peer's live datagrams.
func (h *Host) tickStream(from *Peer, now time.Time) time.Time {
	if !from.Stream.Waiting() {
		return time.Time{}
	}
	lost := from.Stream.Lost()
	ask, again := from.Stream.Tick(now, h.delivers(from))
	if len(ask) > 0 {
		h.reply(&syncwire.Nack{To: from.ID, Ranges: ask}, now)
	}
	if from.Stream.Lost() != lost {
		h.do.Emit(PeersChanged{})
	}
	return again
}
