package worker

import (
	"time"

	"joolctl/syncwire"
)

// outgoing selects how datagrams are sent to the group: each one at once, or several with one system call. Several are collected
// in a batch, whose memory belongs to the thread and is shared by its workers.
type outgoing struct {
	held  int       // how many calls of flush are due; 0: datagrams are sent at once
	since time.Time // when the first datagram of the batch was added
}

// note describes a datagram for the counters.
type note struct {
	control bool          // a control message; otherwise a list of sessions
	kind    syncwire.Kind // of the list
	bytes   int           // of the list without its trailer
}

// hold makes put add datagrams to the batch instead of sending them. A full batch is sent at once. flush must be called before
// another worker uses the thread's memory. Pairs of hold and flush may be nested.
func (p *pumps) hold() { p.held++ }

// flush sends the batch if it ends the outermost hold.
func (p *pumps) flush() {
	if p.held--; p.held == 0 {
		p.sendBatch()
	}
}

// room returns memory in which to build a datagram: the batch's next slot while datagrams are batched, otherwise own.
func (p *pumps) room(own []byte) []byte {
	if p.held > 0 {
		return p.batch.Next()
	}
	return own[:0]
}

// sendMessage sends a control message to the group.
func (p *pumps) sendMessage(m syncwire.Message) {
	if h, is := m.Body.(*syncwire.Hello); is && h.Padded {
		p.sendPadded(m)
		return
	}
	b := m.Append(p.room(p.messages))
	if p.held == 0 {
		p.messages = b
	}
	p.put(b, note{control: true})
}

// put sends a datagram, or adds it to the batch.
func (p *pumps) put(b []byte, n note) {
	if p.held == 0 {
		p.account(n, p.do.transmit(p.wire(b)))
		return
	}
	if p.batch.Len() == 0 {
		p.since = p.do.now()
	}
	p.notes[p.batch.Len()] = n
	p.batch.Add(b)
	if p.batch.Full() {
		p.sendBatch()
	}
}

// sendBatch sends the batch. If the kernel refuses a datagram, only this datagram is lost: sending continues with the next.
func (p *pumps) sendBatch() {
	if p.batch.Len() == 0 {
		return
	}
	out := p.wireBatch()
	for i := 0; i < out.Len(); {
		n, err := p.do.transmitBatch(out, i)
		for range n {
			p.account(p.notes[i], nil)
			i++
		}
		if err != nil {
			p.account(p.notes[i], err)
			i++
		}
	}
	took := p.do.now().Sub(p.since)
	for i := range p.batch.Len() {
		if n := p.notes[i]; !n.control && n.kind == syncwire.Live {
			p.delayed(p.batch.Datagram(i)[:n.bytes], took)
		}
	}
	p.batch.Reset()
	p.forgetSealed()
}

// account counts a datagram as sent, or as lost if err is not nil.
func (p *pumps) account(n note, err error) {
	c := p.w.counters
	sessions := uint64(n.bytes / p.format.EntryLen())
	switch {
	case err != nil && n.control:
		c.sendErrors.Add(1)
		p.w.log.warn("a control message could not be sent to the group", "group", p.w.spec().Group, "error", err)
		return
	case err != nil:
		c.sendErrors.Add(1)
		if n.kind == syncwire.Live {
			c.unsent.Add(sessions)
		}
		p.w.log.warn("a datagram with sessions could not be sent to the group", "group", p.w.spec().Group, "error", err)
		return
	case n.control:
		return
	}
	c.netSentPackets.Add(1)
	c.netSentBytes.Add(uint64(n.bytes))
	switch n.kind {
	case syncwire.Repeat:
		c.retransmitted.Add(sessions)
	case syncwire.Advertised:
		c.advertised.Add(sessions)
	default:
		c.sentSessions.Add(sessions)
	}
}
