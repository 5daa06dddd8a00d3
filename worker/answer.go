package worker

import (
	"math/rand/v2"
	"slices"
	"time"

	"joolctl/replication"
	"joolctl/syncwire"
)

const (
	// gatherAskers is how long a resync waits for others who want it too.
	gatherAskers = 20 * time.Millisecond
	// answersInARow is how many answers a host sends without a pause, however many peers ask. After each of them the pause
	// grows by costFactor times as long as reading and sending the table took, but not beyond longestWait.
	answersInARow = 3
	longestWait   = time.Minute
	// costFactor is how many times as long as a resync took nothing is done about
	// the next loss or difference, so that resyncs don't feed on each other.
	costFactor = 4
	// keepAnswer is how long a sender can still repeat BULKs after its last END, and maxKept bounds of how many resyncs.
	keepAnswer = 10 * time.Second
	maxKept    = 4
	// askFirst is how long a return waits for the peer to ask for the whole table.
	askFirst = 500 * time.Millisecond
	// takenWithin is how long after END a peer may need to compare and inject the whole table.
	takenWithin = 2 * time.Minute
)

// answer is a resync that we send.
type answer struct {
	id        uint32
	why       syncwire.Why
	audience  []syncwire.ID // empty: everybody
	counts    bool          // peers have asked for it: the next one has to wait for its cost
	due       time.Time     // when to begin, if it is a return
	table     table
	reading   bool
	vector    []syncwire.Component
	doubtful  bool      // see syncwire.End
	announced time.Time // when BEGIN was last sent

	replication.Transfer
}

// answers are the resyncs that we send, one at a time.
type answers struct {
	p       *pumps
	current *answer
	kept    []*answer // sent up to END; their BULKs can be repeated
	// Who asked since, and when the next one may begin.
	asked    []syncwire.ID
	many     bool // more of them than an audience has room for: the resync is for everybody
	everyone bool
	why      syncwire.Why
	begin    time.Time
	returns  []*answer
	// idleFrom is when all answers will have had their pauses, cost is how long the last one took.
	idleFrom time.Time
	cost     time.Duration
}

// solicited queues a peer for the next resync. If the current resync is for that peer, its BEGIN was lost or the peer
// has given up. Then BEGIN is sent again.
func (a *answers) solicited(by syncwire.ID, now time.Time) {
	if c := a.current; c != nil && slices.Contains(c.audience, by) && c.why == syncwire.WhyAnswer {
		if !c.reading && now.Sub(c.announced) >= solicitEvery {
			a.announce(now, len(c.table.records))
		}
		return
	}
	if !slices.Contains(a.asked, by) {
		if len(a.asked) < syncwire.MaxAudience {
			a.asked = append(a.asked, by)
		} else {
			a.many = true
		}
	}
	if slices.Contains(a.asked, by) { // what was to go back to it is in the answer
		a.returns = slices.DeleteFunc(a.returns, func(r *answer) bool { return slices.Contains(r.audience, by) })
	}
	a.why = syncwire.WhyAnswer
	a.schedule(now)
}

// spend accounts for time that was spent on answers until now.
func (a *answers) spend(d time.Duration, now time.Time) {
	a.idleFrom = maxTime(a.idleFrom, now).Add(costFactor * d)
	a.idleFrom = minTime(a.idleFrom, now.Add(a.inARow()+longestWait))
}

// inARow is for how long the pauses of answers may lie ahead when the next one begins.
func (a *answers) inARow() time.Duration { return (answersInARow - 1) * costFactor * a.cost }

// mayBegin is when the next resync may begin; zero: none is queued. Only what peers ask for has to wait.
func (a *answers) mayBegin() time.Time {
	if a.begin.IsZero() || a.everyone {
		return a.begin
	}
	return maxTime(a.begin, a.idleFrom.Add(-a.inARow()))
}

// advertise queues a resync for everybody, of whom nobody is known to miss
// anything.
func (a *answers) advertise(now time.Time) {
	if a.begin.IsZero() {
		a.why = syncwire.WhyAdvertise
	}
	a.everyone = true
	a.schedule(now)
}

func (a *answers) schedule(now time.Time) {
	if a.begin.IsZero() {
		a.begin = now.Add(gatherAskers)
	}
}

// giveBack queues what an answered peer turned out to lack.
// One that is not complete is about to ask, and then gets all at once.
func (a *answers) giveBack(to *replication.Peer, t table, vector []syncwire.Component, now time.Time) {
	if len(a.returns) == 4 {
		return
	}
	due := now
	if to.Sync == syncwire.SyncNo {
		due = now.Add(askFirst)
	}
	a.returns = append(a.returns, &answer{why: syncwire.WhyReturn, audience: []syncwire.ID{to.ID}, table: t, vector: vector, due: due})
}

// serves reports whether a peer takes, or is about to take, the whole table, after which it gives back what it has. A peer that
// has said since then that it is complete has done so, or has nothing to give back.
func (a *answers) serves(to *replication.Peer, now time.Time) bool {
	if to == nil {
		return false
	}
	if slices.Contains(a.asked, to.ID) || a.current != nil && a.current.why == syncwire.WhyAnswer && slices.Contains(a.current.audience, to.ID) {
		return true
	}
	return to.Live(now) && to.Sync == syncwire.SyncNo && now.Sub(to.Served) < takenWithin && !to.WasComplete.After(to.Served)
}

// tick does what is due and returns when to come again.
func (a *answers) tick(now time.Time) time.Time {
	again, repeats := a.repeatKept(now)
	if a.current != nil {
		if repeats && !a.current.reading {
			return again
		}
		return soonest(again, a.send(now))
	}
	if len(a.returns) > 0 && !now.Before(a.returns[0].due) {
		a.current = a.returns[0]
		a.returns = slices.Delete(a.returns, 0, 1) // and the list no longer holds its table
		a.start(now)
		return now
	}
	if begin := a.mayBegin(); begin.IsZero() || now.Before(begin) {
		next := soonest(again, begin)
		if len(a.returns) > 0 {
			next = soonest(next, a.returns[0].due)
		}
		return next
	}
	c := &answer{id: newResyncID(a.p.random), why: a.why, audience: a.asked, counts: !a.everyone, reading: true}
	if a.everyone || a.many {
		c.audience = nil
	}
	a.current, a.asked, a.many, a.everyone, a.begin = c, nil, false, false, time.Time{}
	c.vector = a.p.knowledge.Whole(now)
	for _, id := range c.audience {
		if to := a.p.peers.WithID(id); to != nil {
			to.ServedDoubts = a.p.knowledge.Doubts()
		}
	}
	a.announce(now, a.p.sessions())
	a.p.do.readTable(a.p.sessions(), now, func() bool { return a.current != c }, func(t table, err error) {
		if err != nil {
			a.p.w.log.warn("reading the session table for a peer", "error", err)
			a.current = nil
			return
		}
		// Sorting a large table takes longer than the pumps may wait.
		our := a.p.settings
		a.p.do.background(func() {
			replication.OldestFirst(t.records, our)
			a.p.do.post(func() {
				if a.current == c {
					c.table, c.reading = t, false
					a.start(a.p.do.now())
				}
			})
		})
	})
	return again
}

// start sends BEGIN.
func (a *answers) start(now time.Time) {
	c := a.current
	if c.id == 0 {
		c.id = newResyncID(a.p.random)
	}
	c.Transfer = replication.NewTransfer(len(c.table.records))
	a.announce(now, len(c.table.records))
}

func newResyncID(random *rand.Rand) uint32 { return random.Uint32() | 1 }

// announce sends BEGIN: with a guess at first and again while the table is
// read, so that who waits knows that it goes on, and then with the number.
func (a *answers) announce(now time.Time, sessions int) {
	c := a.current
	c.announced = now
	a.p.sendControl(&syncwire.Begin{Resync: c.id, Why: c.why, Audience: c.audience,
		Sessions: uint32(sessions), Settings: a.p.settings, Vector: c.vector})
}

// send sends the next BULKs, END, or nothing any more.
func (a *answers) send(now time.Time) time.Time {
	c := a.current
	if c.reading {
		if now.Sub(c.announced) >= stallFor/2 {
			a.announce(now, a.p.sessions())
		}
		return c.announced.Add(stallFor / 2)
	}
	a.sendSome(c, now)
	if c.Ended().IsZero() {
		return now.Add(replication.TransferTick)
	}
	if c.counts {
		a.cost = c.Ended().Sub(c.table.base)
		a.spend(a.cost, now)
	}
	a.kept = append(a.kept, c)
	a.current = nil
	if len(a.kept) > maxKept {
		a.forget(0)
	}
	return now
}

// sendSome sends what a resync may send at one tick.
func (a *answers) sendSome(c *answer, now time.Time) {
	a.p.gather(func() {
		c.Send(now, func(index uint32) { a.bulk(c, index, now) }, func() { a.end(c, now) })
	})
}

func (a *answers) end(c *answer, now time.Time) {
	for _, id := range c.audience {
		if to := a.p.peers.WithID(id); to != nil && c.why == syncwire.WhyAnswer {
			to.Served = now
		}
	}
	if c.why == syncwire.WhyAnswer {
		a.p.resync.verified = now // who asked compares, and gives back
	}
	a.p.sendControl(&syncwire.End{Resync: c.id, Sessions: uint32(len(c.table.records)), Bulks: c.Bulks(), Doubtful: c.doubtful})
}

// doubt withdraws what tables that were read until now claim of other origins.
func (a *answers) doubt() {
	for _, c := range append(slices.Concat(a.kept, a.returns), a.current) {
		if c != nil {
			c.doubtful, c.vector = true, replication.OnlyOf(a.p.knowledge.Self(), c.vector)
		}
	}
}

// bulk sends one BULK, its times corrected.
func (a *answers) bulk(c *answer, index uint32, now time.Time) {
	at := int(index) * syncwire.MaxBulk
	records := c.table.records[at:min(at+syncwire.MaxBulk, len(c.table.records))]
	b := a.p.bulkBuf[:0]
	for i := range records {
		r := records[i]
		r.Age(now.Sub(c.table.base))
		b = append(b, r[:]...)
	}
	a.p.bulkBuf = b
	a.p.bulkOut = syncwire.Bulk{Resync: c.id, Index: index, Records: b}
	a.p.sendControl(&a.p.bulkOut)
}
