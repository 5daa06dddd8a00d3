package worker

import (
	"slices"
	"time"

	"joolctl/replication"
	"joolctl/syncwire"
)

const (
	// listenFor is how long a worker waits for the answers to its first HELLO
	// before it holds itself to be alone.
	listenFor = 3 * time.Second
	// collectFor is how long it waits for others once one has answered.
	collectFor = 150 * time.Millisecond
	// beginWithin is how soon a peer must send BEGIN after SOLICIT, before the next peer is asked.
	beginWithin = time.Second
	// stalls is how many pauses of replication.StallFor are requested to end before the next peer is asked.
	stalls = 6
	// MaxSessions is how many sessions a full sync transfers at most. Both hosts need 36 bytes for each, and as many for
	// their own tables; the receiver needs them for those that have arrived.
	MaxSessions = 64 << 20
	// takenIn is in what time at most so many resyncs are taken that were not
	// asked for as resync.taken remembers.
	takenIn = 10 * time.Second
	// keepStopped is how long the BULKs of a stopped resync are kept.
	keepStopped = 30 * time.Second
	// largeTable is from when on memory is given back to the system at once.
	largeTable = 100_000
)

// phase is where a worker stands on its way to a complete table.
type phase uint8

const (
	settled    phase = iota // nothing to do
	listening               // for HELLOs
	asking                  // SOLICIT sent
	collecting              // BULKs
	comparing               // with the own table
	injecting
	checking // reading back
)

func (p phase) String() string {
	return [...]string{"settled", "listening for peers", "asking a peer", "receiving", "comparing", "injecting", "reading back"}[p]
}

// ResyncReport is what one resync came to.
type ResyncReport struct {
	From       string `json:"from"`
	Why        string `json:"why"`
	Got        int    `json:"got"`
	Had        int    `json:"had"`
	Injected   int    `json:"injected"`
	Replaced   int    `json:"replaced"` // BIB entries of ours that made way for newer ones
	Collisions int    `json:"collisions"`
	GaveBack   int    `json:"gave_back"`
	// At is when it ended.
	At time.Time `json:"at"`
	// Took is the time from BEGIN to the end; the others are its parts.
	Took      time.Duration `json:"took"`
	Receiving time.Duration `json:"receiving"`
	Comparing time.Duration `json:"comparing"`
	Injecting time.Duration `json:"injecting"`
}

// resync is the asking and receiving side.
type resync struct {
	p     *pumps
	phase phase
	sync  syncwire.Sync
	replication.Schedule
	since time.Time // when the phase began
	// doneBefore is SyncState.Done at the beginning of phase progressOf.
	doneBefore int
	progressOf phase
	due        time.Time // when to go on
	// period is how often verify asks; verified is when the whole table was last compared with a peer's.
	period   time.Duration
	verified time.Time

	tried  []syncwire.ID // since the last resync that came to its end
	target syncwire.ID

	taken    [16]time.Time            // when a resync was taken that was not asked for
	removals replication.RemovalLimit // of BIB entries
	in       *incoming
	stopped  *incoming            // it can be resumed
	reported replication.Reported // by the own module, or by peers while backlog is full
	backlog  replication.Backlog  // live updates that wait
	full     bool                 // backlog was full: later updates do not wait

	base  time.Time // of the resync that they wait for
	piece int       // see leastPiece
}

func (r *resync) enter(ph phase, now, due time.Time) {
	r.phase, r.since, r.due, r.Running = ph, now, due, ph != settled
	r.p.publishSync()
}

// listen has peers say what they have. Until then this host is not complete. It ends the resync that is under way.
func (r *resync) listen(why string, now time.Time) {
	if r.phase != settled {
		r.finish(now)
	}
	r.sync = syncwire.SyncNo
	r.Set(why)
	r.enter(listening, now, now.Add(listenFor))
	r.p.w.change(now, (*SyncState).restartCount)
	r.p.asks, r.p.hello = true, now
	r.p.wake(now)
}

// tick does what is due and returns when to come again.
func (r *resync) tick(now time.Time) time.Time {
	if r.stopped != nil && now.Sub(r.stopped.stopped) > keepStopped {
		r.stopped = nil
	}
	switch {
	case r.phase == settled && r.Cause == "", r.phase == comparing, r.phase == injecting, r.phase == checking:
		return time.Time{}
	case r.phase == settled && now.Before(r.Due()):
		return r.Due()
	case r.phase != settled && now.Before(r.due):
		return r.due
	}
	switch r.phase {
	case settled:
		if r.Cause == replication.CauseLacks && r.p.sender.Serves(r.About, now) {
			r.Postpone(now.Add(replication.AskFirst)) // it gives back what this host lacks
			return r.Due()
		}
		r.tried = nil
		r.ask(now)
	case listening:
		r.heardEnough(now)
	case asking:
		if now.Sub(r.since) < beginWithin {
			r.solicit(now)
		} else {
			r.ask(now)
		}
	case collecting:
		r.stalled(now)
	}
	if r.phase == settled && r.Cause != "" {
		return r.Due()
	}
	return r.due
}

// heardEnough ends the time in which peers say what they have.
func (r *resync) heardEnough(now time.Time) {
	live := r.p.look(now)
	lost := slices.ContainsFunc(r.p.knowledge.Lacks(), func(l replication.Lack) bool { return !l.Pending })
	switch {
	case len(live) == 0 && now.Sub(r.since) < listenFor:
		r.due = r.since.Add(listenFor)
	case len(r.p.knowledge.Lacks()) == 0:
		r.settle(now)
	case !lost && now.Sub(r.since) < inheritWithin: // repeats are on their way
		r.due = now.Add(replication.ReorderFor)
	default:
		r.tried = nil
		r.ask(now)
	}
}

// ask asks the best peer that was not asked yet.
func (r *resync) ask(now time.Time) {
	best := r.p.knowledge.Best(r.tried, r.About, now)
	if best == nil {
		if len(r.tried) > 0 {
			r.p.w.log.warn("no peer gave its session table", "why it was wanted", r.Cause)
		}
		failed := len(r.tried) > 0
		why, about := r.Cause, r.About
		r.Count(false, now)
		r.finish(now)
		if failed {
			r.Want(why, about, now)
		}
		return
	}
	r.target = best.ID
	r.tried = append(r.tried, r.target)
	r.enter(asking, now, now)
	r.solicit(now)
}

// solicit asks the target.
func (r *resync) solicit(now time.Time) {
	r.p.sendControl(&syncwire.Solicit{To: r.target})
	r.due = now.Add(replication.SolicitEvery)
}

// finish goes to rest.
func (r *resync) finish(now time.Time) {
	n := 0
	if r.in != nil {
		got, _ := r.in.Sessions()
		n = int(got)
	}
	r.p.inherited = false
	r.in, r.target, r.full = nil, 0, false
	r.reported.Stop()
	r.End(now)
	r.enter(settled, now, time.Time{})
	r.p.releaseHeld()
	r.p.freeLater(n)
	r.p.helloSoon(now)
}

// soonest is the earlier of two times, of which zero is none.
func soonest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
