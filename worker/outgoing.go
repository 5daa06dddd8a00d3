package worker

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/packetio"
	"joolctl/syncwire"
)

// outgoing selects how datagrams are sent: each one at once, or several with one system call. Several are collected in a batch,
// whose memory belongs to the thread and is shared by its workers.
type outgoing struct {
	openBatches int             // how many calls of flush are due; 0: datagrams are sent at once
	since       time.Time       // when the first datagram of the batch was added
	single      *packetio.Batch // of a datagram that is sent at once
	lone        [1]note         // its description
	sending     []note          // descriptions of the datagrams that are being sent
	unsent      [batch]int      // for how many destinations the kernel has not taken each of them
	whole       bool            // neither the kernel nor a router may divide the datagram that is sent
	// failedFn is failedTo, made once because a method value costs an allocation.
	failedFn func(datagram, destination int, err error)
}

// note describes a datagram for the counters.
type note struct {
	control bool          // a control message; otherwise a list of sessions
	kind    syncwire.Kind // of the list
	bytes   int           // of the list without its trailer
}

// openBatch makes put add datagrams to the batch instead of sending them. A full batch is sent at once. flush must be called before
// another worker uses the thread's memory. Pairs of openBatch and flush may be nested.
func (p *pumps) openBatch() { p.openBatches++ }

// flush sends the batch if it ends the outermost openBatch.
func (p *pumps) flush() {
	if p.openBatches--; p.openBatches == 0 {
		p.sendBatch()
	}
}

// room returns memory in which to build a datagram: the batch's next slot while datagrams are batched, otherwise own.
func (p *pumps) room(own []byte) []byte {
	if p.openBatches > 0 {
		return p.batch.Next()
	}
	return own[:0]
}

// sendMessage sends a control message to some peers; none: to all.
func (p *pumps) sendMessage(m syncwire.Message, to []syncwire.ID) {
	if h, is := m.Body.(*syncwire.Hello); is && h.Padded {
		p.sendPadded(m)
		return
	}
	b := m.Append(p.room(p.messages))
	if p.openBatches == 0 {
		p.messages = b
	}
	p.put(b, p.destinations(to), note{control: true})
}

// put sends a datagram, or adds it to the batch.
func (p *pumps) put(b []byte, to packetio.Set, n note) {
	switch {
	case to == 0: // its peers were removed from the configuration
	case p.openBatches == 0:
		p.sendOne(p.wire(b), to, n)
	default:
		if p.batch.Len() == 0 {
			p.since = p.do.now()
		}
		p.notes[p.batch.Len()] = n
		if p.batch.Add(b, to); p.batch.Full() {
			p.sendBatch()
		}
	}
}

// sendOne sends a datagram at once, as it is.
func (p *pumps) sendOne(b []byte, to packetio.Set, n note) {
	p.single.Add(b, to)
	p.lone[0] = n
	p.transmit(p.single, p.lone[:])
	p.single.Reset()
}

// sendBatch sends the batch. If the kernel refuses a datagram, only this datagram is lost: sending continues with the next.
func (p *pumps) sendBatch() {
	if p.batch.Len() == 0 {
		return
	}
	out := p.wireBatch()
	p.transmit(out, p.notes[:out.Len()])
	took := p.do.now().Sub(p.since)
	for i := range p.batch.Len() {
		if n := p.notes[i]; !n.control && n.kind == syncwire.Live {
			p.delayed(p.batch.Datagram(i)[:n.bytes], took)
		}
	}
	p.batch.Reset()
	p.forgetSealed()
}

// transmit sends datagrams, and counts them.
func (p *pumps) transmit(b *packetio.Batch, notes []note) {
	p.sending = notes
	clear(p.unsent[:b.Len()])
	if p.whole {
		p.do.sendWhole(b)
	} else {
		p.do.sendOut(b)
	}
	for i := range notes {
		p.account(notes[i], p.unsent[i] > 0 && p.unsent[i] == p.socket.count(b.To(i)))
	}
}

// failedTo notes that the kernel has not taken a datagram for a destination.
func (p *pumps) failedTo(datagram, destination int, err error) {
	if p.whole && errors.Is(err, unix.EMSGSIZE) {
		return // longer than the interface's MTU: as good as lost on its way
	}
	p.unsent[datagram]++
	p.w.counters.sendErrors.Add(1)
	what := "datagram with sessions"
	if p.sending[datagram].control {
		what = "control message"
	}
	if peers := p.socket.peers; len(peers) > 0 {
		p.w.log.warn("a "+what+" could not be sent to a peer", "peer", peers[destination], "error", err)
		return
	}
	p.w.log.warn("a "+what+" could not be sent to the group", "group", p.w.spec().Group, "error", err)
}

// account counts a datagram as sent, or as lost if no destination gets it.
func (p *pumps) account(n note, lost bool) {
	c := p.w.counters
	if n.control {
		return
	}
	sessions := uint64(n.bytes / p.format.EntryLen())
	if lost {
		if n.kind == syncwire.Live {
			c.unsent.Add(sessions)
		}
		return
	}
	c.netSentPackets.Add(1)
	c.netSentBytes.Add(uint64(n.bytes))
	switch n.kind {
	case syncwire.Retransmission:
		c.retransmitted.Add(sessions)
	case syncwire.Advertised:
		c.advertised.Add(sessions)
	default:
		c.sentSessions.Add(sessions)
	}
}

// destinations returns the destinations of peers; none: all. Several destinations may have one address, and only the datagrams tell
// which of them a peer is. A message for a peer that was never heard goes to all.
func (p *pumps) destinations(ids []syncwire.ID) (to packetio.Set) {
	if len(ids) == 0 || len(p.socket.peers) == 0 {
		return packetio.All
	}
	for _, id := range ids {
		known := p.host.Peers.WithID(id)
		if known == nil {
			return packetio.All
		}
		for i, peer := range p.socket.peers {
			if peer.Addr() == known.Address {
				to |= 1 << i
			}
		}
	}
	return to
}
