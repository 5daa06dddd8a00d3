package replication

import (
	"math/rand/v2"
	"slices"
	"time"

	"joolctl/syncwire"
)

const (
	// GatherRequests is how long a full sync waits for more peers that request it.
	GatherRequests = 20 * time.Millisecond
	// SyncsInARow is how many full syncs a host sends without a pause, however many peers request one. After each of them the
	// pause grows by CostFactor times as long as reading and sending the table took, but not beyond LongestWait.
	SyncsInARow = 3
	LongestWait = time.Minute
	// KeepSent is how long BULKs can be retransmitted after END, and MaxSent bounds of how many full syncs.
	KeepSent = 10 * time.Second
	MaxSent  = 4
	// AskFirst is how long a return waits for the peer to request the whole table.
	AskFirst = 500 * time.Millisecond
	// TakenWithin is how long after END a peer may need to compare and inject the whole table, at most. A peer needs
	// LeastTaken for a small table, and longer for one that takes long to read and send.
	TakenWithin = 2 * time.Minute
	LeastTaken  = 5 * time.Second
	maxReturns  = 4
)

// SenderHost has the functions of the host that a Sender calls.
type SenderHost interface {
	Thread
	Table
	Network
	// Settings returns the settings of the host's module. The caller must not change them.
	Settings() *syncwire.Settings
	// Limits bounds the datagrams of full syncs that begin now.
	Limits() syncwire.Limits
	// Emit reports an event.
	Emit(Event)
}

// Sender sends full syncs, one at a time. Peers request the whole table, an operator advertises it, and a
// comparison finds sessions that a peer lacks; these are returned to the peer.
type Sender struct {
	host      SenderHost
	peers     *Peers
	knowledge *Knowledge
	random    *rand.Rand

	current *transmission
	sent    []*transmission // up to END; their BULKs can be retransmitted
	// next is the full sync that was requested since, or advertised; its begin is zero: there is none.
	next struct {
		why        syncwire.Why
		begin      time.Time
		requesters []syncwire.ID
		everybody  bool // more have requested it than an audience has room for
		advertised bool
	}
	returns []*transmission
	// idleFrom is when the pauses of all full syncs will be over. cost is how long the last one took.
	idleFrom time.Time
	cost     time.Duration
	served   time.Time // when END of a requested table was last sent

	bulk    syncwire.Bulk
	bulkBuf []byte
}

// NewSender returns the Sender of a host.
func NewSender(host SenderHost, peers *Peers, knowledge *Knowledge, random *rand.Rand) *Sender {
	return &Sender{host: host, peers: peers, knowledge: knowledge, random: random}
}

// Solicited queues a peer for the next full sync, or adds it to the audience of the current one if that has not sent anything yet. If
// the current one is for that peer, its BEGIN was lost or the peer has given up; then BEGIN is sent again.
func (s *Sender) Solicited(by syncwire.ID, now time.Time) {
	if c := s.current; c != nil && c.why == syncwire.WhyAnswer {
		switch {
		case slices.Contains(c.audience, by):
			if !c.reading && now.Sub(c.announced) >= SolicitEvery {
				s.announce(now, len(c.table.Records))
			}
			return
		case c.reading && len(c.audience) > 0 && len(c.audience) < syncwire.MaxAudience && s.accepts(by, c.perBulk):
			c.audience = append(c.audience, by)
			s.serves(by, c)
			s.announce(now, s.host.Sessions())
			return
		}
	}
	if !slices.Contains(s.next.requesters, by) {
		if len(s.next.requesters) < syncwire.MaxAudience {
			s.next.requesters = append(s.next.requesters, by)
		} else {
			s.next.everybody = true
		}
	}
	if slices.Contains(s.next.requesters, by) {
		s.dropReturns(by)
	}
	s.next.why = syncwire.WhyAnswer
	s.schedule(now)
}

// accepts reports whether a peer accepts BULKs with so many sessions.
func (s *Sender) accepts(id syncwire.ID, perBulk int) bool {
	to := s.peers.WithID(id)
	return perBulk == syncwire.MaxBulk || to != nil && to.sendsHeard
}

// sessionsPerBulk returns how many sessions the BULKs of a full sync have: as many as fit, unless one of its receivers accepts
// only syncwire.MaxBulk.
func (s *Sender) sessionsPerBulk(audience []syncwire.ID, now time.Time) int {
	n := s.host.Limits().Bulk()
	if len(audience) == 0 {
		for _, known := range s.peers.Live(now) {
			audience = append(audience, known.ID)
		}
	}
	for _, id := range audience {
		if !s.accepts(id, n) {
			return syncwire.MaxBulk
		}
	}
	return n
}

// serves notes that a peer is in the audience of a full sync whose table is about to be read, or is being read.
func (s *Sender) serves(id syncwire.ID, c *transmission) {
	if to := s.peers.WithID(id); to != nil {
		to.ServedDoubts = c.doubts
	}
	s.dropReturns(id)
}

// dropReturns forgets the sessions that were to be returned to a peer: the whole table contains them.
func (s *Sender) dropReturns(to syncwire.ID) {
	s.returns = slices.DeleteFunc(s.returns, func(r *transmission) bool { return slices.Contains(r.audience, to) })
}

// charge accounts for time that was spent on full syncs until now.
func (s *Sender) charge(d time.Duration, now time.Time) {
	s.idleFrom = Latest(s.idleFrom, now).Add(CostFactor * d)
	s.idleFrom = Earliest(s.idleFrom, now.Add(s.inARow()+LongestWait))
}

// inARow returns how much of the pauses may be left when the next full sync begins.
func (s *Sender) inARow() time.Duration { return (SyncsInARow - 1) * CostFactor * s.cost }

// Exhausted reports whether the host has spent so much time on full syncs lately that no further one may begin now.
func (s *Sender) Exhausted(now time.Time) bool { return now.Before(s.idleFrom.Add(-s.inARow())) }

// mayBegin returns when the next full sync may begin; zero: none is queued. Only what peers request has to wait.
func (s *Sender) mayBegin() time.Time {
	if s.next.begin.IsZero() || s.next.advertised {
		return s.next.begin
	}
	return Latest(s.next.begin, s.idleFrom.Add(-s.inARow()))
}

// Advertise queues a full sync for everybody, although no peer is known to lack sessions.
func (s *Sender) Advertise(now time.Time) {
	if s.next.begin.IsZero() {
		s.next.why = syncwire.WhyAdvertise
	}
	s.next.advertised = true
	s.schedule(now)
}

func (s *Sender) schedule(now time.Time) {
	if s.next.begin.IsZero() {
		s.next.begin = now.Add(GatherRequests)
	}
}

// Return queues sessions that a peer lacks, oldest first. vector is that of a table with these sessions and
// the peer's. A peer that is not complete is about to request the whole table, and then gets everything at once.
func (s *Sender) Return(to *Peer, t Snapshot, vector []syncwire.Component, now time.Time) {
	if len(s.returns) == maxReturns {
		return
	}
	due := now
	if to.Sync == syncwire.SyncNo {
		due = now.Add(AskFirst)
	}
	s.returns = append(s.returns, &transmission{why: syncwire.WhyReturn, audience: []syncwire.ID{to.ID}, table: t, vector: vector, due: due})
}

// Serves reports whether a peer receives, or is about to receive, the whole table, after which it returns what this host lacks.
// A peer that has been complete since then has done so, or has nothing to return. A peer that stays incomplete for another
// reason does not say that it has nothing to return, and may wait for this host in turn, so the wait is bounded by how long
// the table took. to may be nil.
func (s *Sender) Serves(to *Peer, now time.Time) bool {
	if to == nil {
		return false
	}
	if slices.Contains(s.next.requesters, to.ID) || s.current != nil && s.current.why == syncwire.WhyAnswer && slices.Contains(s.current.audience, to.ID) {
		return true
	}
	return to.Live(now) && to.Sync == syncwire.SyncNo && now.Sub(to.Served) < min(LeastTaken+CostFactor*s.cost, TakenWithin) && !to.WasComplete.After(to.Served)
}

// Served returns when END of a requested table was last sent: its receiver compares the table with its own.
func (s *Sender) Served() time.Time { return s.served }

// Tick does what is due, and returns when to call it again; zero: no need.
func (s *Sender) Tick(now time.Time) time.Time {
	again, retransmits := s.retransmit(now)
	if s.current != nil {
		if retransmits && !s.current.reading {
			return again
		}
		return Soonest(again, s.send(now))
	}
	if len(s.returns) > 0 && !now.Before(s.returns[0].due) {
		s.current = s.returns[0]
		s.returns = slices.Delete(s.returns, 0, 1) // and the list no longer keeps its table
		s.start(now)
		return now
	}
	if begin := s.mayBegin(); begin.IsZero() || now.Before(begin) {
		next := Soonest(again, begin)
		if len(s.returns) > 0 {
			next = Soonest(next, s.returns[0].due)
		}
		return next
	}
	s.read(now)
	return again
}

// read reads the table for the next full sync, and starts it.
func (s *Sender) read(now time.Time) {
	c := &transmission{id: s.newID(), why: s.next.why, audience: s.next.requesters, requested: !s.next.advertised, reading: true}
	if s.next.advertised || s.next.everybody {
		c.audience = nil
	}
	s.current, s.next.requesters, s.next.everybody, s.next.advertised, s.next.begin = c, nil, false, false, time.Time{}
	s.host.SendRefreshes()
	c.vector, c.doubts = s.knowledge.Whole(now), s.knowledge.Doubts()
	c.perBulk = s.sessionsPerBulk(c.audience, now)
	for _, id := range c.audience {
		s.serves(id, c)
	}
	s.announce(now, s.host.Sessions())
	s.host.ReadTable(s.host.Sessions(), now, func() bool { return s.current != c }, func(t Snapshot, err error) {
		if err != nil {
			s.host.Emit(TableUnread{err})
			s.current = nil
			return
		}
		own := *s.host.Settings()
		s.host.Background(func() {
			t.Records = Prepare(t.Records, own)
			s.host.Post(func() {
				if s.current == c {
					c.table, c.reading = t, false
					s.start(s.host.Now())
				}
			})
		})
	})
}

// start sends BEGIN with the number of sessions.
func (s *Sender) start(now time.Time) {
	c := s.current
	if c.id == 0 {
		c.id = s.newID()
	}
	if c.perBulk == 0 {
		c.perBulk = s.sessionsPerBulk(c.audience, now)
	}
	c.Transfer = NewTransfer(len(c.table.Records), c.perBulk)
	s.announce(now, len(c.table.Records))
}

func (s *Sender) newID() uint32 { return s.random.Uint32() | 1 }

// announce sends BEGIN. Before the table is read, and again while it is, sessions is an estimate.
func (s *Sender) announce(now time.Time, sessions int) {
	c := s.current
	c.announced = now
	b := &syncwire.Begin{FullSync: c.id, Why: c.why, Audience: c.audience,
		Sessions: uint32(sessions), Settings: *s.host.Settings(), Vector: c.vector}
	if c.perBulk != syncwire.MaxBulk {
		b.PerBulk = uint8(c.perBulk)
	}
	s.host.Send(b, c.audience)
}

// Doubt withdraws what tables that were read until now claim of other origins.
func (s *Sender) Doubt() {
	for _, c := range append(slices.Concat(s.sent, s.returns), s.current) {
		if c != nil {
			c.doubtful, c.vector = true, OnlyOf(s.knowledge.Self(), c.vector)
		}
	}
}

// Stop ends all full syncs, and forgets those that are queued.
func (s *Sender) Stop() { *s = *NewSender(s.host, s.peers, s.knowledge, s.random) }
