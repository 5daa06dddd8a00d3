package sim

import (
	"slices"
	"time"

	"joolctl/session"
)

// queue holds the sessions that wait to leave the module.
type queue struct {
	reports    []report
	advertised int  // of the reports: those of an advertisement, which come first
	acked      bool // the last packet has been acknowledged
	flushed    time.Time
}

// report is a session as it was when it was queued.
type report struct {
	session *tableEntry
	record  session.Record
	Version
	ends time.Time
}

// maxPending returns how many sessions the pending packet of a module without a queue (up to 4.1.10) holds.
func (m *Module) maxPending() int {
	return max(int(m.Globals.SSMaxPayload)/m.Version().Format().EntryLen(), 1)
}

// enqueue queues the report of a translated packet's session, and looks whether to flush.
func (m *Module) enqueue(s *tableEntry) {
	if !m.Globals.SSEnabled {
		return
	}
	now := m.clock.Now()
	r := report{s, s.record, s.Version, s.ends}
	vanishes := m.fails(m.ReportLoss)
	switch full := m.queueFull(); {
	case vanishes:
		m.lose(s, r.Version, false)
	case full:
		counted := m.Version().ChecksCapacity() && m.Version().Format() != session.Nested
		if counted {
			m.counters.sessionsDropped++
		}
		m.lose(s, r.Version, counted)
	default:
		if !m.Version().ChecksCapacity() {
			r.record.SetExpires(left(r.ends, now)) // the pending packet is written at once
		}
		m.queue.reports = append(m.queue.reports, r)
		m.counters.sessionsQueued++
	}
	m.look()
}

// queueFull reports whether the module drops the next report.
func (m *Module) queueFull() bool {
	if m.Version().ChecksCapacity() {
		return len(m.queue.reports)-m.queue.advertised >= int(m.Globals.SSCapacity)
	}
	return len(m.queue.reports) >= m.maxPending()
}

func left(ends, now time.Time) uint32 { return uint32(max(ends.Sub(now).Milliseconds(), 0)) }

// lose notes that a report was dropped.
func (m *Module) lose(s *tableEntry, v Version, counted bool) {
	m.changes.note(s.id)
	if s.lost.since.IsZero() {
		s.lost.since = m.clock.Now()
	}
	s.lost.Version, s.lost.counted = v, counted
}

// Ack is a JOOLD_ACK: the module may send its next packet.
func (m *Module) Ack() {
	if m.gone || m.fails(m.RequestLoss) {
		return
	}
	m.counters.acks++
	m.queue.acked = true
	m.look()
}

// Advertise queues the whole table, in the table's order. A module that does so already refuses, and modules up to
// 4.1.10 send nothing.
func (m *Module) Advertise() error {
	switch {
	case m.gone:
		return ErrNoInstance
	case m.queue.advertised > 0:
		return ErrBusy
	case !m.Version().ChecksCapacity():
		return nil
	}
	m.expire()
	m.counters.ads++
	var all []report
	for _, table := range m.tables {
		for _, s := range table {
			all = append(all, report{s, s.record, s.Version, s.ends})
		}
	}
	m.queue.reports = slices.Concat(all, m.queue.reports)
	m.queue.advertised = len(all)
	m.look()
	return nil
}

// look sends a packet if the rules allow one now. The module looks when it has queued a report, when an ACK or an
// advertisement is requested, and when its timer fires.
func (m *Module) look() {
	if m.gone || !m.Globals.SSEnabled {
		return
	}
	switch q := &m.queue; {
	case len(q.reports) == 0:
		m.counters.empty++
		return
	case m.deadlinePassed():
		m.counters.timeout++
	case !q.acked:
		m.counters.missingAck++
		return
	case q.advertised > 0:
		m.counters.adOngoing++
	case m.Version().FlushesASAP() && m.Globals.SSFlushASAP:
		m.counters.flushASAP++
	case len(q.reports) >= m.fullPacket():
		m.counters.packetFull++
	default:
		m.counters.queuing++
		return
	}
	m.flush()
}

// fullPacket returns how many sessions make a packet full.
func (m *Module) fullPacket() int {
	switch {
	case !m.Version().ChecksCapacity():
		return m.maxPending()
	case m.Globals.SSMaxSessions == 0:
		return max(int(m.Globals.SSMaxPayload)/m.Version().Format().EntryLen(), 1)
	}
	return int(m.Globals.SSMaxSessions)
}

// deadlinePassed reports whether more than the deadline, in whole jiffies, has passed since the last packet.
func (m *Module) deadlinePassed() bool {
	deadline, jiffy := m.Globals.SSFlushDeadline, m.config.Jiffy
	if deadline >= 1<<31*time.Millisecond {
		return false
	}
	jiffies := func(t time.Time) int64 { return int64(t.Sub(Epoch) / jiffy) }
	return jiffies(m.clock.Now())-jiffies(m.queue.flushed) > int64((deadline+jiffy-1)/jiffy)
}

// flush sends one packet.
func (m *Module) flush() {
	q, now := &m.queue, m.clock.Now()
	n := min(len(q.reports), m.fullPacket())
	sent := q.reports[:n]
	q.reports = q.reports[n:]
	q.advertised = max(q.advertised-n, 0)
	q.acked, q.flushed = false, now
	if n > session.MaxPerMessage { // the packet overflows the module's own buffer
		for _, r := range sent {
			m.lose(r.session, r.Version, false)
		}
		return
	}
	var entries []byte
	for _, r := range sent {
		if m.Version().ChecksCapacity() {
			r.record.SetExpires(left(r.ends, now))
		}
		var err error
		if entries, err = m.Version().Format().AppendRecord(entries, &r.record, m.Globals.Pool6); err != nil {
			panic(err) // the module's own sessions always have a form
		}
		r.session.leave(r.Version, now)
		m.ledger.reported[r.session.id] = departure{r.Version, now}
		if m.Upstream || m.unnumbered > 0 {
			m.ledger.unnumbered[r.session.id] = now
		}
		m.changes.note(r.session.id)
	}
	m.counters.packetsSent++
	m.counters.sessionsSent += uint64(n)
	if m.Report != nil {
		m.Report(entries)
	}
}

// leave notes that a version has left the module in a report.
func (s *tableEntry) leave(v Version, now time.Time) {
	s.reported.learn(v, now, false)
	if !s.lost.Updated.After(v.Updated) && s.lost.progress() <= v.progress() {
		s.lost = loss{}
	}
}
