package worker

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/nsthread"
	"joolctl/packetio"
	"joolctl/syncwire"
)

// fromKernel processes the reports that are queued on the netlink socket, and sends their sessions to the group.
func (p *pumps) fromKernel() {
	if d := p.do.stalledFor(); d > 0 {
		p.host.Stalls.Suspect(d)
	}
	p.takeReports()
	p.host.SendStalled()
}

// takeReports processes the queued reports, at most rounds batches of them.
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
			p.w.log.warn("the module's reports could not be read", "error", err)
			return
		}
		if !p.passOn(n, now) || n < p.reports.Batch() {
			return
		}
	}
}

// passOn acknowledges the n reports that were read, and sends their sessions with one system call. It returns false if the worker
// ends.
func (p *pumps) passOn(n int, now time.Time) bool {
	var lists [multicasts][]byte
	reports, well := lists[:0], true
	for i := range n {
		entries, from, err := p.conn.Multicast(p.reports.Datagram(i).Data)
		if err != nil {
			p.w.log.warn("dropped a malformed netlink message from the module", "error", err)
			continue
		}
		if from != p.version {
			p.fail(fmt.Errorf("the kernel module jool changed from %v to %v; starting again", p.version, from))
			well = false
			break
		}
		reports = append(reports, entries)
	}
	p.passReports(reports, now)
	return well
}

// overrun handles an overrun of the netlink socket: the kernel has dropped reports because the socket's buffer was full.
func (p *pumps) overrun(now time.Time) {
	p.w.counters.netlinkOverruns.Add(1)
	p.w.log.warn("the module's reports overran the netlink socket: some sessions are lost until a full sync; raise \"receive buffer\"",
		"receive buffer", p.w.spec().ReceiveBuffer)
	p.ack(1) // the module waits for an ACK for the lost report
	p.trail(now)
	p.host.Dropped(now)
	p.wake(now)
}

// passReports acknowledges reports that were read together, and sends their sessions.
func (p *pumps) passReports(reports [][]byte, now time.Time) {
	if len(reports) > 0 {
		// The ACK is the first action, because the module builds its next packets within this system call.
		p.ack(p.acks.acks(len(reports), len(reports[len(reports)-1])/p.format.EntryLen(), now.Sub(p.passed)))
		p.trail(now)
	}
	together := len(reports) > 1
	if together {
		p.openBatch()
	}
	for _, entries := range reports {
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
		p.w.log.warn("an ACK could not be sent to the module", "error", err)
	}
}

// trail schedules the trailing ACK for a report that arrived now: it is sent when the module's deadline has passed.
func (p *pumps) trail(now time.Time) {
	if p.acks.flushAfter > 0 {
		p.trailing.Set(now.Add(p.acks.flushAfter))
	}
}

// report passes the sessions of a report to the host.
func (p *pumps) report(entries []byte, now time.Time) {
	n := p.format.CountList(entries)
	if n*p.format.EntryLen() != len(entries) {
		p.w.log.warn("the module reports sessions in another format than that of its version", "session", n, "format", p.format)
	}
	p.w.counters.reported.Add(uint64(n))
	p.copyToFollowers(Out, entries[:n*p.format.EntryLen()])
	p.host.Reported(entries[:n*p.format.EntryLen()], now)
}

// delayed notes that reported sessions were sent late, if a stall began between their report and the system call: their times left
// in the datagram are too high.
func (p *pumps) delayed(entries []byte, took time.Duration) {
	if took > nsthread.StallDelay {
		p.host.Stalls.Delayed(p.format, entries, took)
	}
}

// sendDatagram sends a datagram with sessions and a trailer. It writes the trailer behind the entries, or copies them if datagrams
// are batched.
func (p *pumps) sendDatagram(entries []byte, t syncwire.Trailer) {
	b := entries
	if p.openBatches > 0 {
		b = append(p.batch.Next(), entries...)
	}
	if p.host.Sequence {
		b = t.Append(b)
	}
	p.put(b, packetio.All, note{kind: t.Kind, bytes: len(entries)})
}
