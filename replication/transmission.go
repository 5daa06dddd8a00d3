package replication

import (
	"slices"
	"time"

	"joolctl/syncwire"
)

// transmission is a full sync that is sent.
type transmission struct {
	id        uint32
	why       syncwire.Why
	audience  []syncwire.ID // empty: everybody
	requested bool          // by peers: the next one that they request has to wait for its cost
	due       time.Time     // when to begin, if it is a return
	table     Snapshot
	reading   bool
	perBulk   int // how many sessions each BULK has but the last
	vector    []syncwire.Component
	doubts    int       // Knowledge.Doubts when vector was made
	doubtful  bool      // see syncwire.End
	announced time.Time // when BEGIN was last sent

	Transfer
}

// send sends the messages of the current full sync that are due.
func (s *Sender) send(now time.Time) (again time.Time) {
	c := s.current
	if c.reading {
		if now.Sub(c.announced) >= StallFor/2 {
			s.announce(now, s.host.Sessions())
		}
		return c.announced.Add(StallFor / 2)
	}
	s.sendSome(c, now)
	if c.Ended().IsZero() {
		return now.Add(TransferTick)
	}
	if c.requested {
		s.cost = c.Ended().Sub(c.table.Base)
		s.charge(s.cost, now)
	}
	s.sent = append(s.sent, c)
	s.current = nil
	if len(s.sent) > MaxSent {
		s.forget(0)
	}
	return now
}

// sendSome sends as many messages of a full sync as its rate allows at one tick.
func (s *Sender) sendSome(c *transmission, now time.Time) {
	s.host.OpenBatch()
	c.Send(now, func(index uint32) { s.sendBulk(c, index, now) }, func() { s.sendEnd(c, now) })
	s.host.Flush()
}

func (s *Sender) sendEnd(c *transmission, now time.Time) {
	if c.why == syncwire.WhyAnswer {
		for _, id := range c.audience {
			if to := s.peers.WithID(id); to != nil {
				to.Served = now
			}
		}
		s.served = now
	}
	s.host.Send(&syncwire.End{FullSync: c.id, Sessions: uint32(len(c.table.Records)), Bulks: c.Bulks(), Doubtful: c.doubtful}, c.audience)
}

// sendBulk sends a BULK with the times that its sessions have left now.
func (s *Sender) sendBulk(c *transmission, index uint32, now time.Time) {
	at := int(index) * c.perBulk
	records := c.table.Records[at:min(at+c.perBulk, len(c.table.Records))]
	b := s.bulkBuf[:0]
	for i := range records {
		r := records[i]
		r.Age(now.Sub(c.table.Base))
		b = append(b, r[:]...)
	}
	s.bulkBuf = b
	s.bulk = syncwire.Bulk{FullSync: c.id, Index: index, Records: b}
	s.host.Send(&s.bulk, c.audience)
}

// forget drops a full sync that was sent.
func (s *Sender) forget(i int) {
	s.host.Emit(TableReleased{len(s.sent[i].table.Records)})
	s.sent = slices.Delete(s.sent, i, i+1)
}

// retransmit retransmits BULKs of full syncs that were sent, and returns when it has to be called again. While retransmits is
// true, the current full sync pauses, so that both together do not exceed the rate of one.
func (s *Sender) retransmit(now time.Time) (again time.Time, retransmits bool) {
	for i := 0; i < len(s.sent); i++ {
		c := s.sent[i]
		switch {
		case c.Pending():
			if !retransmits {
				s.sendSome(c, now)
				s.charge(TransferTick, now)
			}
			again, retransmits = now.Add(TransferTick), true
		case now.Sub(c.Ended()) > KeepSent:
			s.forget(i)
			i--
		default:
			again = Soonest(again, c.Ended().Add(KeepSent+1))
		}
	}
	return again, retransmits
}

// Requested queues the BULKs of a peer's NACK again. Those that were not sent yet are sent anyway.
func (s *Sender) Requested(n *syncwire.Nack, by syncwire.ID, now time.Time) {
	c := s.withID(n.FullSync)
	if c == nil || c.Exhausted() {
		s.host.Reply(&syncwire.Gone{To: by, FullSync: n.FullSync, Ranges: n.Ranges}, now)
		return
	}
	if c.reading {
		return // BEGIN is sent again soon
	}
	c.Request(n.Ranges, c == s.current, now)
}

// withID finds a full sync that is being sent, or whose BULKs can be retransmitted.
func (s *Sender) withID(id uint32) *transmission {
	if s.current != nil && s.current.id == id {
		return s.current
	}
	for _, c := range s.sent {
		if c.id == id {
			return c
		}
	}
	return nil
}
