package worker

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/nsthread"
	"joolctl/syncwire"
)

// maxSessionBytes bounds the sessions of a datagram: with the trailer it just fits
// an Ethernet frame.
const maxSessionBytes = syncwire.MaxMessage - syncwire.TrailerLen

// fromKernel carries what waits on the netlink socket to the network.
func (p *pumps) fromKernel() {
	if d := p.do.stoodStill(); d > 0 {
		p.host.Stalls.Suspect(d)
	}
	p.takeReports()
	p.host.SendStalled(p.do.now())
}

// takeReports takes all that waits, up to a bound.
func (p *pumps) takeReports() {
	for range rounds {
		now := p.do.now()
		n, err := p.conn.Receive(p.reports)
		switch {
		case err == unix.EAGAIN:
			return
		case err == unix.ENOBUFS:
			p.overrun(now)
			continue
		case err != nil:
			p.w.log.warn("reading what the kernel reports", "error", err)
			return
		}
		if !p.passOn(n, now) || n < p.reports.Batch() {
			return
		}
	}
}

// passOn acknowledges the n reports that were read, and sends their sessions. Datagrams of
// reports that were read together leave together. It returns false if the worker ends.
func (p *pumps) passOn(n int, now time.Time) bool {
	var lists [multicasts][]byte
	taken, well := lists[:0], true
	for i := range n {
		entries, from, err := p.conn.Multicast(p.reports.Datagram(i).Data)
		if err != nil {
			p.w.log.warn("a message of the kernel's makes no sense", "error", err)
			continue
		}
		if from != p.version {
			p.fail(fmt.Errorf("the kernel module jool changed from %v to %v; starting again", p.version, from))
			well = false
			break
		}
		taken = append(taken, entries)
	}
	p.passReports(taken, now)
	return well
}

// overrun takes it that the netlink socket had no room for reports.
func (p *pumps) overrun(now time.Time) {
	p.w.counters.netlinkOverruns.Add(1)
	p.w.log.warn("the kernel's sessions overran the netlink socket: some are lost; raise \"receive buffer\"",
		"receive buffer", p.w.spec().ReceiveBuffer)
	p.ack(1) // the module waits for an ACK of the lost report
	p.trail(now)
	p.host.Dropped(now)
	p.wake(now)
}

// passReports acknowledges reports that were read together, and sends their sessions.
func (p *pumps) passReports(taken [][]byte, now time.Time) {
	if len(taken) > 0 {
		// First of all: the module builds its next packets inside this call.
		p.ack(p.acks.acks(len(taken), len(taken[len(taken)-1])/p.format.EntryLen(), now.Sub(p.passed)))
		p.trail(now)
	}
	together := len(taken) > 1
	if together {
		p.hold()
	}
	for _, entries := range taken {
		if len(entries) > 0 {
			p.report(entries, now)
			p.passed = p.do.now()
			p.delayed(entries, p.passed.Sub(now))
		}
	}
	if together {
		p.flush()
	}
}

// ack sends the module n ACKs.
func (p *pumps) ack(n int) {
	if err := p.module.SendAcks(n); err != nil {
		p.w.log.warn("an acknowledgement did not reach the kernel", "error", err)
	}
}

// trail has an ACK follow a report that came now, once the module's deadline has passed.
func (p *pumps) trail(now time.Time) {
	if p.acks.flushAfter > 0 {
		p.trailing.Set(now.Add(p.acks.flushAfter))
	}
}

// report takes the sessions of a report.
func (p *pumps) report(entries []byte, now time.Time) {
	n := p.format.CountList(entries)
	if n*p.format.EntryLen() != len(entries) {
		p.w.log.warn("the kernel reports sessions in another form than its version's", "session", n, "form", p.format)
	}
	p.w.counters.reported.Add(uint64(n))
	p.host.Reported(entries[:n*p.format.EntryLen()], now)
}

// delayed takes how long it took to send sessions that were reported: a stall may have begun in the middle.
func (p *pumps) delayed(entries []byte, took time.Duration) {
	if took > nsthread.Standstill {
		p.host.Stalls.Delayed(p.format, entries, took)
	}
}

// sendDatagram sends sessions and a trailer, which it writes behind them, unless
// datagrams wait: then it copies them.
func (p *pumps) sendDatagram(entries []byte, t syncwire.Trailer) {
	b := entries
	if p.held > 0 {
		b = append(p.batch.Next(), entries...)
	}
	if p.host.Sequence {
		b = t.Append(b)
	}
	p.put(b, note{kind: t.Kind, bytes: len(entries)})
}
