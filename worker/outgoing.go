package worker

import (
	"time"

	"joolctl/syncwire"
)

// outgoing says how datagrams go to the group: each at once, or together with
// others that wait in the batch, which is the thread's.
type outgoing struct {
	held  bool      // they wait for flush
	since time.Time // the batch's first waits
}

// note is what a datagram is to the ledger.
type note struct {
	control bool
	kind    syncwire.Kind // of sessions
	bytes   int           // of sessions
}

// gather sends together what fn sends, which may be more than one datagram.
func (p *pumps) gather(fn func()) {
	if p.held {
		fn()
		return
	}
	p.hold()
	fn()
	p.flush()
}

// hold has datagrams wait, no more of them than fit the batch, until flush, which
// must come before anybody else has the thread's memory.
func (p *pumps) hold() { p.held = true }

// flush sends what waits.
func (p *pumps) flush() {
	p.held = false
	p.sendBatch()
}

// room is memory to put a datagram together in: what is to wait must stay as it is.
// Else it is own.
func (p *pumps) room(own []byte) []byte {
	if p.held {
		return p.batch.Next()
	}
	return own[:0]
}

// put sends a datagram, or has it wait.
func (p *pumps) put(b []byte, n note) {
	if !p.held {
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

// sendBatch sends the batch. What the kernel does not take of it is lost, as if it
// had been sent alone, and the rest is not.
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
			p.waiting.passedOn(p.format, p.batch.Datagram(i)[:n.bytes], took)
		}
	}
	p.batch.Reset()
}

// account counts what has become of a datagram.
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
