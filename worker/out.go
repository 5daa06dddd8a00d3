package worker

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// fromKernel carries what waits on the netlink socket to the network.
func (p *pumps) fromKernel() {
	c := p.w.counters
	for range rounds {
		entries, from, err := p.conn.Receive(p.multicast)
		switch {
		case err == unix.EAGAIN:
			return
		case err == unix.ENOBUFS:
			c.netlinkOverruns.Add(1)
			p.w.log.warn("the kernel's sessions overran the netlink socket: some are lost; raise \"receive buffer\"",
				"receive buffer", p.w.spec().ReceiveBuffer)
			p.ack() // the module waits for one, and what it is for is lost
			continue
		case err != nil:
			p.w.log.warn("a message of the kernel's makes no sense", "error", err)
			continue
		}
		// First of all: the module builds the next batch inside this call.
		p.ack()
		if from != p.version {
			p.fail(fmt.Errorf("the kernel module jool changed from %v to %v; starting again", p.version, from))
			return
		}
		if len(entries) > 0 {
			p.toNetwork(entries)
		}
	}
}

func (p *pumps) ack() {
	if err := p.conn.SendAck(); err != nil {
		p.w.log.warn("an acknowledgement did not reach the kernel", "error", err)
	}
}

// toNetwork sends one datagram to the group.
func (p *pumps) toNetwork(entries []byte) {
	c := p.w.counters
	if err := p.socket.sender.Send(p.socket.fd, entries); err != nil {
		c.sendErrors.Add(1)
		p.w.log.warn("a datagram could not be sent", "group", p.w.spec().Group, "error", err)
		return
	}
	c.netSentPackets.Add(1)
	c.netSentBytes.Add(uint64(len(entries)))
}
