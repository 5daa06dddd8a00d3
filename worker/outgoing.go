package worker

import (
	"time"

	"joolctl/syncwire"
)

// outgoing says how datagrams go to the group: each at once, or together with
// others that wait in the batch, which is the thread's.
type outgoing struct {
	held  int       // how many calls of flush they wait for; 0: they do not wait
	since time.Time // the batch's first waits
}

// note describes a datagram for the counters.
type note struct {
	control bool
	kind    syncwire.Kind // of sessions
	bytes   int           // of sessions
}

// hold queues datagrams in the batch until flush, or until the batch is full. flush must be called before another worker gets the
// thread's memory. Pairs of hold and flush may be nested.
func (p *pumps) hold() { p.held++ }

// flush sends the datagrams that wait, unless hold was called more often.
func (p *pumps) flush() {
	if p.held--; p.held == 0 {
		p.sendBatch()
	}
}

// room returns memory for a datagram: that of the batch if datagrams wait, else own.
func (p *pumps) room(own []byte) []byte {
	if p.held > 0 {
		return p.batch.Next()
	}
	return own[:0]
}

// sendMessage sends a control message to the group.
func (p *pumps) sendMessage(m syncwire.Message) {
	b := m.Append(p.room(p.messages))
	if p.held == 0 {
		p.messages = b
	}
	p.put(b, note{control: true})
}

// put sends a datagram, or has it wait.
func (p *pumps) put(b []byte, n note) {
	if p.held == 0 {
		p.account(n, p.do.transmit(b))
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

// sendBatch sends the batch. If the kernel refuses a datagram, that one is lost, and the others are sent.
func (p *pumps) sendBatch() {
	if p.batch.Len() == 0 {
		return
	}
	for i := 0; i < p.batch.Len(); {
		n, err := p.do.transmitBatch(p.batch, i)
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
}

// account counts a datagram that was sent, or that the kernel has refused.
func (p *pumps) account(n note, err error) {
	c := p.w.counters
	sessions := uint64(n.bytes / p.format.EntryLen())
	switch {
	case err != nil && n.control:
		c.sendErrors.Add(1)
		p.w.log.warn("a control message could not be sent", "group", p.w.spec().Group, "error", err)
		return
	case err != nil:
		c.sendErrors.Add(1)
		if n.kind == syncwire.Live {
			c.unsent.Add(sessions)
		}
		p.w.log.warn("a datagram could not be sent", "group", p.w.spec().Group, "error", err)
		return
	case n.control:
		return
	}
	c.netSentPackets.Add(1)
	c.netSentBytes.Add(uint64(n.bytes))
	switch n.kind {
	case syncwire.Repeat:
		c.repeated.Add(sessions)
	case syncwire.Advertised:
		c.advertised.Add(sessions)
	default:
		c.sentSessions.Add(sessions)
	}
}
