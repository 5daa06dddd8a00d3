package worker

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/session"
	"joolctl/syncwire"
)

// maxSessionBytes bounds the sessions of a datagram: with the trailer it just fits
// an Ethernet frame.
const maxSessionBytes = syncwire.MaxMessage - syncwire.TrailerLen

// fromKernel carries what waits on the netlink socket to the network.
func (p *pumps) fromKernel() {
	if d := p.do.stoodStill(); d > 0 {
		p.waiting.suspect(d)
	}
	p.takeReports()
	p.tellAgain(p.do.now())
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
	p.hasten(now)
	p.missed(now)
	p.wake(now)
}

// passReports acknowledges reports that were read together, and sends their sessions.
func (p *pumps) passReports(taken [][]byte, now time.Time) {
	if len(taken) > 0 {
		// First of all: the module builds its next packets inside this call.
		p.ack(p.acks.acks(len(taken), len(taken[len(taken)-1])/p.format.EntryLen(), now.Sub(p.passed)))
		p.trail(now)
	}
	if len(taken) > 1 {
		p.hold()
	}
	for _, entries := range taken {
		if len(entries) > 0 {
			p.report(entries, now)
			p.passed = p.do.now()
			p.waiting.passedOn(p.format, entries, p.passed.Sub(now))
		}
	}
	p.flush()
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

// report sends the sessions of a report: new and changed ones at once, refreshes after the end
// of their period.
func (p *pumps) report(entries []byte, now time.Time) {
	c := p.w.counters
	f := p.format
	size := f.EntryLen()
	n := f.CountList(entries)
	if n*size != len(entries) {
		p.w.log.warn("the kernel reports sessions in another form than its version's", "session", n, "form", f)
	}
	entries = entries[:n*size]
	c.reported.Add(uint64(n))
	p.reportedAt = now
	p.waiting.reported(p.format, entries)
	if p.coalesce.Period() <= 0 && !p.resync.reported.Recording() && !p.advertise.reported.Recording() {
		p.sendLive(entries, now)
		return
	}
	touching := p.resync.reported.Recording() || p.advertise.reported.Recording()
	var copied session.Record
	p.coalesce.Begin(now)
	out, all := p.out[:0], true // as long as all are sent, nothing is copied
	for at := 0; at < len(entries); at += size {
		r := f.RecordIn(entries[at:], &copied)
		if touching {
			p.resync.reported.Add(r)
			p.advertise.reported.Add(r)
		}
		atOnce, evicted := p.coalesce.Report(r)
		if all && (evicted != nil || !atOnce) {
			all = false
			out = append(out, entries[:at]...)
		}
		if evicted != nil {
			c.refreshed.Add(1)
			out = p.appendRecord(out, evicted)
		}
		switch {
		case !atOnce:
			c.coalesced.Add(1)
		case !all:
			out = append(out, entries[at:at+size]...)
		}
	}
	p.out = out
	if all {
		p.sendLive(entries, now)
	} else {
		p.sendInPieces(out, now)
	}
	p.wakeAt(p.coalesce.Next())
}

// refresh sends the refreshes whose period is over.
func (p *pumps) refresh(now time.Time) (again time.Time) {
	p.out = p.out[:0]
	again = p.coalesce.Flush(now, p.takeRefresh)
	p.sendInPieces(p.out, now)
	return again
}

// refreshAll sends all refreshes.
func (p *pumps) refreshAll(now time.Time) {
	p.out = p.out[:0]
	p.coalesce.Drain(now, p.takeRefresh)
	p.sendInPieces(p.out, now)
}

// hasten sends the refreshes that wait before a full sync, because the module's later reports of their sessions may have been
// lost: behind the full sync that brings what was lost, they would set the peers' sessions back.
func (p *pumps) hasten(now time.Time) {
	p.out = p.out[:0]
	p.coalesce.Hasten(now, p.takeRefresh)
	p.sendInPieces(p.out, now)
}

func (p *pumps) takeRefresh(r *session.Record) {
	p.w.counters.refreshed.Add(1)
	p.out = p.appendRecord(p.out, r)
}

// appendRecord writes a record in the module's format.
func (p *pumps) appendRecord(b []byte, r *session.Record) []byte {
	b, err := p.format.AppendRecord(b, r, p.settings.Pool6)
	if err != nil { // it came in this very format
		p.w.log.warn("a session can't be written in the module's own format", "error", err)
	}
	return b
}

// sendInPieces sends any number of sessions. It may write behind them.
func (p *pumps) sendInPieces(entries []byte, now time.Time) {
	size := p.format.PerDatagram(maxSessionBytes) * p.format.EntryLen()
	if len(entries) <= size {
		if len(entries) > 0 {
			p.sendLive(entries, now)
		}
		return
	}
	p.gather(func() {
		for len(entries) > 0 {
			n := min(size, len(entries))
			p.sendLive(entries[:n], now)
			entries = entries[n:]
		}
	})
}

// sendLive sends a datagram of sessions. It may write behind them, unless datagrams
// wait.
func (p *pumps) sendLive(entries []byte, now time.Time) {
	p.active = now
	seq := p.knowledge.Position().Seq
	if p.sequence {
		seq = p.knowledge.NextSeq()
		p.retransmit.Put(seq, entries, now)
	}
	p.sendDatagram(entries, syncwire.Trailer{Kind: syncwire.Live, Sender: p.knowledge.Self(), Seq: seq})
}

// sendDatagram sends sessions and a trailer, which it writes behind them, unless
// datagrams wait: then it copies them.
func (p *pumps) sendDatagram(entries []byte, t syncwire.Trailer) {
	b := entries
	if p.held {
		b = append(p.batch.Next(), entries...)
	}
	if p.sequence {
		b = t.Append(b)
	}
	p.put(b, note{kind: t.Kind, bytes: len(entries)})
}
