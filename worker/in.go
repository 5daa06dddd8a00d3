package worker

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/joolnl"
	"joolctl/packetio"
	"joolctl/seal"
	"joolctl/session"
	"joolctl/syncwire"
)

// fromNetwork processes the datagrams that are queued on the network socket, and gives their sessions to the module.
func (p *pumps) fromNetwork() {
	defer p.publishPeers()
	for range rounds {
		n, err := p.received.Receive(p.socket.fd)
		if err == unix.EAGAIN {
			return
		}
		if err != nil { // for example an ICMP error for a datagram that was sent
			p.w.log.warn("the network socket returned an error", "error", err)
			return
		}
		now := time.Now()
		p.opened = p.opened[:0]
		for i := range n {
			p.take(p.received.Datagram(i), now)
		}
		p.toKernel()
		p.publishRefused(now)
		if n < p.received.Batch() {
			return
		}
		// p.sent remembers only the last JOOLD_ADDs, so error replies must be read soon.
		p.conn.ReadErrors()
	}
}

// take processes one datagram, and queues its sessions for the module.
func (p *pumps) take(d packetio.Datagram, now time.Time) {
	c := p.w.counters
	// The kernel's count wraps. It can also decrease from one datagram to the next, if several CPUs receive.
	if lost := int32(d.Drops - p.drops); d.Drops != 0 && lost > 0 {
		p.drops = d.Drops
		c.socketDrops.Add(uint64(lost))
		p.w.log.warn("datagrams overran the network socket and are lost; raise \"receive buffer\"",
			"lost", lost, "receive buffer", p.w.spec().ReceiveBuffer)
	}
	if !p.socket.hears(d.Interface) {
		return
	}
	if !p.socket.lists(d.From.Addr()) {
		p.unlisted(d.From, now)
		return
	}
	if d.Truncated {
		p.host.Garbled(d.From.Addr(), now)
		c.malformed.Add(1)
		p.w.log.warn("dropped a datagram longer than any of Jool's", "from", d.From)
		return
	}
	if syncwire.IsTest(d.Data) {
		return
	}
	ok := false
	p.host.Sealed = p.channel != nil && seal.IsSealed(d.Data)
	if d.Data, ok = p.clear(d, now); !ok {
		return
	}
	entries, trailer, err := syncwire.Sessions(d.Data, p.format)
	if errors.Is(err, syncwire.ErrOtherFormat) {
		entries, trailer, err = syncwire.Sessions(d.Data, session.ListFormat(d.Data))
	}
	switch {
	case err == nil:
	case errors.Is(err, syncwire.ErrNotUnderstood):
		p.host.Message(d.From.Addr(), d.Data, arrived(d, now, p.do.stalledFor()), now)
		return
	default:
		p.host.Garbled(d.From.Addr(), now)
		c.malformed.Add(1)
		p.w.log.warn("dropped a malformed datagram", "from", d.From, "error", err)
		return
	}
	c.netRcvdPackets.Add(1)
	c.netRcvdBytes.Add(uint64(len(entries)))
	c.receivedSessions.Add(sessionsIn(entries))
	p.host.Received(d.From.Addr(), entries, trailer, now.Sub(arrived(d, now, p.do.stalledFor())), now)
}

// store queues sessions for the module. They may have the format of another version of the module.
func (p *pumps) store(entries []byte) {
	if f := session.ListFormat(entries); f != p.format {
		if entries = p.translate(entries, f); len(entries) == 0 {
			return
		}
	}
	p.cut(entries)
	p.copyToFollowers(In, entries)
	p.add(entries)
}

// translate returns sessions in the format of this host's module, for add. from is their present format.
func (p *pumps) translate(entries []byte, from session.Format) []byte {
	p.makeRoom()
	before := len(p.translated)
	out := p.translated
	for ; len(entries) > 0; entries = entries[from.EntryLen():] {
		r := from.Record(entries)
		var err error
		if out, err = p.format.AppendRecord(out, &r, p.host.Settings().Pool6); err != nil {
			p.w.counters.untranslated.Add(1)
			if p.explains() {
				p.explain("a session of a peer cannot be translated", err.Error(), &r)
			}
			p.w.log.warn("a session in the format of another version of Jool cannot be translated", "theirs", from, "ours", p.format, "error", err)
		} else {
			p.w.counters.translated.Add(1)
		}
	}
	p.translated = out
	return out[before:]
}

// cut limits the times left of sessions to the timeouts of this instance. A peer's timeouts may be longer, and the module would
// compute a time of the last packet that is in the future.
func (p *pumps) cut(entries []byte) {
	if n := p.format.CutList(entries, p.lifetimes); n > 0 {
		p.w.counters.cut.Add(uint64(n))
	}
}

// add queues a JOOLD_ADD with sessions for the module.
func (p *pumps) add(entries []byte) {
	p.makeRoom()
	start := len(p.headers)
	var seq uint32
	p.headers, seq = p.module.AppendAdd(p.headers, len(entries))
	p.adds.Add(p.headers[start:])
	p.adds.Add(entries)
	p.w.counters.given.Add(uint64(len(entries) / p.format.EntryLen()))
	p.sent.put(seq, len(entries))
}

// makeRoom sends the queued JOOLD_ADDs if another one would not fit into the queue.
func (p *pumps) makeRoom() {
	if cap(p.headers)-len(p.headers) < joolnl.AddHeaderLen || p.adds.Len() > maxAdd {
		p.toKernel()
	}
}

// maxAdd is the number of queued bytes after which the queue of JOOLD_ADDs is sent.
const maxAdd = 64 << 10

// toKernel sends the queued JOOLD_ADDs to the module.
func (p *pumps) toKernel() {
	if p.adds.Len() == 0 {
		return
	}
	c := p.w.counters
	packets, bytes := p.sent.flush()
	if err := p.module.SendAdds(p.adds); err != nil {
		c.kernelErrors.Add(uint64(packets))
		p.host.Doubt(p.do.now()) // whatever the error is, the sessions are lost
		p.w.log.warn("sessions could not be sent to the module", "messages", packets, "error", err)
	} else {
		c.kernelSentPackets.Add(uint64(packets))
		c.kernelSentBytes.Add(uint64(bytes))
		p.audit.given.packets += uint64(packets)
		p.audit.given.bytes += uint64(bytes)
	}
	p.forgetAdds()
}

// kernelError processes the module's error for the JOOLD_ADD or JOOLD_ACK with the number seq. The number is 0 if netlink has lost
// error replies.
func (p *pumps) kernelError(seq uint32, err error) {
	c := p.w.counters
	c.kernelErrors.Add(1)
	n, isAdd := p.sent.take(seq)
	ignored := joolnl.IgnoredAll(err)
	if joolnl.NoMemory(err) && (isAdd || !ignored) || isAdd && ignored || seq == 0 && errors.Is(err, unix.ENOBUFS) {
		p.host.Doubt(p.do.now()) // a full sync has to bring the sessions that there was no memory for
	}
	if ignored {
		// The module has processed no session of the request, so the request does not count as sent.
		if isAdd {
			c.kernelSentPackets.Add(^uint64(0))
			c.kernelSentBytes.Add(-uint64(n))
			p.audit.given.packets--
			p.audit.given.bytes -= uint64(n)
		}
		p.audit.Rebase() // the instance may have been recreated
		p.w.Check()
	}
	p.w.log.warn("the kernel refused sessions", "instance", p.w.spec().Instance, "error", err)
}

// sentAdds remembers the sizes of the last JOOLD_ADDs, to correct the counters if the module replies with an error.
type sentAdds struct {
	ring           [64]struct{ seq, bytes uint32 }
	packets, bytes int // the size of the queue that has not been sent yet
}

func (s *sentAdds) put(seq uint32, bytes int) {
	slot := &s.ring[seq%uint32(len(s.ring))]
	slot.seq, slot.bytes = seq, uint32(bytes)
	s.packets++
	s.bytes += bytes
}

// flush returns the size of the queue, and starts a new queue.
func (s *sentAdds) flush() (packets, bytes int) {
	packets, bytes = s.packets, s.bytes
	s.packets, s.bytes = 0, 0
	return packets, bytes
}

// take returns the size of a message, and forgets it.
func (s *sentAdds) take(seq uint32) (bytes uint32, ok bool) {
	slot := &s.ring[seq%uint32(len(s.ring))]
	if slot.seq != seq || seq == 0 {
		return 0, false
	}
	bytes = slot.bytes
	slot.seq = 0
	return bytes, true
}
