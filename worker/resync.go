package worker

import (
	"time"

	"joolctl/joolnl"
	"joolctl/syncwire"
)

const (
	// listenFor is how long a worker waits for the answers to its first HELLO
	// before it holds itself to be alone.
	listenFor = 3 * time.Second
	// collectFor is how long it waits for others once one has answered.
	collectFor = 150 * time.Millisecond
	// beginWithin is how soon a peer that was asked must begin, and stallFor how
	// long its flow may stop, before the next one is asked.
	beginWithin = time.Second
	stallFor    = 500 * time.Millisecond
	stalls      = 6
	// solicitEvery is how often it is asked meanwhile: a SOLICIT may be lost, or
	// the BEGIN.
	solicitEvery = 250 * time.Millisecond
	// maxSessions bounds what a peer can make us collect: 36 bytes each.
	maxSessions = 4 << 20
	// aheadOf is how many BULKs may be missing before one that is taken, beside
	// eight times those that have come.
	aheadOf = 2048
	// takenIn is in what time at most so many resyncs are taken that were not
	// asked for as resync.taken remembers.
	takenIn = 10 * time.Second
	// maxHeldBytes bounds the live updates that wait for a resync's end.
	maxHeldBytes = 8 << 20
	// keepStopped is how long the BULKs of a stopped resync are kept.
	keepStopped = 30 * time.Second
	// whyStopped is the reason for a resumed resync, if no other is known.
	whyStopped = "resumed"
	// whyShort is the reason for a resync because a peer's table stays larger, whyLost because a peer's datagrams are lost.
	whyShort = "a peer holds more sessions"
	whyLost  = "datagrams are lost for good"
	// whyNoMemory is the reason for a resync because sessions could not be given to the module.
	whyNoMemory = "there was no memory for sessions"
	// whyAppeared is the reason for a resync with a peer that is there for the first time, or again.
	whyAppeared = "a peer appeared"
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
	// why is what the next resync is for; empty: none is wanted.
	why   string
	about *peer     // the peer that why concerns; nil: none
	since time.Time // when the phase began
	due   time.Time // when to go on
	// pause is the pause before this resync, pauses are those for reasons that concern no peer.
	pause  time.Duration
	pauses pauses
	// period is how often verify asks; verified is when the whole table was last compared with a peer's.
	period   time.Duration
	verified time.Time
	ended    time.Time     // the last one
	cost     time.Duration // of the last one

	tried  []syncwire.ID // since the last resync that came to its end
	target syncwire.ID

	taken    [16]time.Time // when a resync was taken that was not asked for
	clearing time.Time     // when maxCleared BIB entries may be removed again
	in       *incoming
	stopped  *incoming               // it can be resumed
	touched  map[joolnl.Key]struct{} // reported by our own kernel meanwhile
	// overflowed: touched had no room for all of them. lately are those of touched that came while tables were compared.
	overflowed bool
	lately     []joolnl.Key
	held       []update // live updates that wait
	heldSize   int
	full       bool // there were too many: what comes is not held any more

	injection injection
}

// start is the first thing of all.
func (r *resync) start(now time.Time) {
	r.why = "start"
	r.enter(listening, now, now.Add(listenFor))
}

func (r *resync) enter(ph phase, now, due time.Time) {
	r.phase, r.since, r.due = ph, now, due
	r.p.publishSync()
}

// helloHeard tells that a peer of ours has said something.
func (r *resync) helloHeard(p *peer, isNew bool, now time.Time) {
	switch {
	case r.phase == listening:
		r.due = minTime(r.due, now.Add(collectFor))
		if missing, _ := r.p.missedNothing(); !missing {
			r.due = now
		}
	case r.sync == syncwire.SyncAlone && p.served.After(r.ended) && p.Sync == syncwire.SyncYes:
		// It had our table whole and gave back what we lacked.
		r.sync, r.why, r.about, r.pause = syncwire.SyncYes, "", nil, 0
		r.p.publishSync()
		r.p.helloSoon(now)
	case isNew && (r.sync == syncwire.SyncAlone || p.back):
		earliest := now
		if p.asks || p.back && p.stream.sender < r.p.self { // it will ask us, and give back what we lack
			earliest = now.Add(2 * listenFor)
		}
		r.wantAfter(whyAppeared, p, earliest, now)
		p.back = false
	}
}

// lookForPeers notices that nobody is there any more: what a peer's table gains
// from now on is missing here.
func (r *resync) lookForPeers(now time.Time) {
	if r.sync != syncwire.SyncYes || r.phase != settled || now.Sub(r.p.w.peers.lastHeard()) <= aliveFor {
		return
	}
	r.p.w.log.warn("no peer is heard any more; alone", "for", aliveFor)
	r.sync = syncwire.SyncAlone
	r.p.publishSync()
	r.p.helloSoon(now)
}

// tick does what is due and returns when to come again.
func (r *resync) tick(now time.Time) time.Time {
	if r.stopped != nil && now.Sub(r.stopped.stopped) > keepStopped {
		r.stopped = nil
	}
	switch {
	case r.phase == settled && r.why == "", r.phase == comparing, r.phase == injecting, r.phase == checking:
		return time.Time{}
	case now.Before(r.due):
		return r.due
	}
	switch r.phase {
	case settled:
		if r.sync == syncwire.SyncAlone && (r.p.answers.current != nil || r.p.w.peers.taking(now)) {
			r.due = now.Add(listenFor) // who is being served gives back what we lack
			return r.due
		}
		r.tried = nil
		r.ask(now)
	case listening:
		switch wait, never := r.p.missedNothing(); {
		case !wait:
			r.inherited(now)
		case never || now.Sub(r.since) >= inheritWithin:
			r.ask(now)
		default: // repeats are on their way
			r.due = now.Add(holdFor)
		}
	case asking:
		if now.Sub(r.since) < beginWithin {
			r.solicit(now)
		} else {
			r.ask(now)
		}
	case collecting:
		r.stalled(now)
	}
	return r.due
}

// ask asks the best peer that was not asked yet.
func (r *resync) ask(now time.Time) {
	best := r.p.w.peers.best(r.tried, now)
	if best == nil {
		if len(r.tried) == 0 {
			r.sync = syncwire.SyncAlone
		} else {
			r.p.w.log.warn("no peer gave its session table", "why it was wanted", r.why)
		}
		failed := len(r.tried) > 0
		why, about := r.why, r.about
		r.paused(false, now)
		r.finish(now)
		if failed {
			r.want(why, about, now)
		}
		return
	}
	if r.sync == syncwire.SyncAlone {
		r.sync = syncwire.SyncNo
	}
	r.p.w.peers.bequest = nil
	r.target = best.stream.sender
	r.tried = append(r.tried, r.target)
	r.enter(asking, now, now)
	r.solicit(now)
}

// solicit asks the target.
func (r *resync) solicit(now time.Time) {
	r.p.sendControl(&syncwire.Solicit{To: r.target})
	r.due = now.Add(solicitEvery)
}

// finish goes to rest.
func (r *resync) finish(now time.Time) {
	n := 0
	if r.in != nil {
		n = int(r.in.sessions)
	}
	r.in, r.injection, r.touched, r.target, r.full = nil, injection{}, nil, 0, false
	r.why, r.about, r.pause = "", nil, 0
	r.overflowed, r.lately = false, nil
	r.ended = now
	r.enter(settled, now, time.Time{})
	r.p.releaseHeld()
	r.p.freeLater(n)
	r.p.helloSoon(now)
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func maxTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// soonest is the earlier of two times, of which zero is none.
func soonest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
