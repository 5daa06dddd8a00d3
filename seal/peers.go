package seal

import (
	"cmp"
	"crypto/cipher"
	"net/netip"
	"slices"
	"time"
)

const (
	// keepFor is how long a host remembers a run that is silent.
	keepFor = time.Minute
	// maxRuns is how many accepted runs of peers a host remembers, and maxCandidates how many others.
	maxRuns       = 128
	maxCandidates = 64
	// maxSilent is how many runs a host remembers that were accepted and are silent.
	maxSilent = 1024
	// triesPerSecond bounds how many unknown runs a host tries, because each costs a key derivation; triesAtOnce is how many of them
	// may arrive at once. Only runs count whose ID a host with the key has made.
	triesPerSecond = 1000
	triesAtOnce    = 100
)

// peerRun is a run of a peer.
type peerRun struct {
	key  uint8
	aead cipher.AEAD
	seen window
	// accepted is true once a greeting of the run has named a run of this host, or an accepted run has announced this one.
	accepted bool
	// accepts is true if the peer says that it accepts this host's present run; acceptsNext is the same for the announced run.
	accepts, acceptsNext bool
	// authentic is true once a datagram of the run was authentic.
	authentic bool
	// over is true once the run that this one has announced has begun.
	over bool
	// prior is the run that has announced this one; zero if none has.
	prior Run
	// greeting is the counter of the last greeting.
	greeting uint64
	// last is when the run was last heard, tried or announced.
	last time.Time
	// from is the source of the last authentic datagram; the zero Addr if it is not known.
	from netip.Addr
	// acceptedAt is when the run was accepted, contentAt when its last content arrived, and greetedAt when its last greeting did.
	acceptedAt, contentAt, greetedAt time.Time
	// deafSince is since when the greetings say that the peer does not accept this host's run; zero: it does.
	deafSince time.Time
}

// accept accepts the run's datagrams from now on.
func (p *peerRun) accept(now time.Time) { p.accepted, p.acceptedAt = true, now }

// silentRun replaces an accepted run that is silent or was evicted.
type silentRun struct {
	highest uint64
	// turns counts the host's own runs until then.
	turns int
}

// peers are the runs of peers that a host knows.
type peers struct {
	runs map[Run]*peerRun
	// silent has the runs that were accepted and forgotten. As long as a greeting may exist that names the host's own run, a
	// recording of such a run must not be accepted from its beginning again.
	silent map[Run]silentRun
	turns  int // counts the host's own runs
	tokens float64
	filled time.Time
}

func (s *peers) init(now time.Time) {
	s.runs, s.silent = make(map[Run]*peerRun), make(map[Run]silentRun)
	s.tokens, s.filled = triesAtOnce, now
}

// doubt accepts no run any more until it names a run of this host that is made from now on.
func (s *peers) doubt() {
	clear(s.silent)
	for _, p := range s.runs {
		p.accepted, p.accepts, p.acceptsNext, p.prior = false, false, false, Run{}
	}
}

// turned notes that the host has a new run. The present and the announced run prove a greeting, so a proof ends two turns later.
func (s *peers) turned() {
	s.turns++
	for run, silent := range s.silent {
		if s.turns-silent.turns >= 2 {
			delete(s.silent, run)
		}
	}
}

// forgetNext notes that no peer can have accepted the announced run yet.
func (s *peers) forgetNext() {
	for _, p := range s.runs {
		p.acceptsNext = false
	}
}

// allAcceptNext reports whether each peer that this host has heard accepts the announced run.
func (s *peers) allAcceptNext() bool {
	for _, p := range s.runs {
		if p.accepted && p.authentic && !p.over && !p.acceptsNext {
			return false
		}
	}
	return true
}

// newPeerRun returns a run of which nothing was heard, or nothing since it became silent.
func (s *peers) newPeerRun(d *deriver, r *Run) *peerRun {
	p := &peerRun{key: d.key.ID, aead: d.aead(r)}
	if silent, ok := s.silent[*r]; ok {
		p.seen.close(silent.highest)
	}
	return p
}

// try returns the run of a datagram whose run is unknown, or nil and why it should not be opened.
func (c *Channel) try(h head, now time.Time) (*peerRun, Outcome) {
	if c.isOwn(&h.run) {
		return nil, Own
	}
	d := c.deriver(h.key)
	switch {
	case d == nil:
		return nil, UnknownKey
	case !d.made(&h.run):
		return nil, Forged
	case !c.mayTry(now):
		return nil, Throttled
	}
	run := h.run // its own memory, because the derivation needs it on the heap
	p := c.newPeerRun(d, &run)
	p.last = now
	c.makeRoom()
	c.runs[run] = p
	return p, 0
}

// mayTry takes a token of those for unknown runs.
func (s *peers) mayTry(now time.Time) bool {
	if passed := now.Sub(s.filled); passed > 0 {
		s.tokens = min(s.tokens+passed.Seconds()*triesPerSecond, triesAtOnce)
		s.filled = now
	}
	if s.tokens < 1 {
		return false
	}
	s.tokens--
	return true
}

// makeRoom makes room for one more run that is not accepted.
func (s *peers) makeRoom() {
	run, n := s.oldest(false)
	if n >= maxCandidates {
		delete(s.runs, run)
	}
}

// admit makes room for one more accepted run. It returns false if the host has renewed its own run for that, so that no run is proved.
func (c *Channel) admit(now time.Time) bool {
	turns := c.turns
	if run, n := c.oldest(true); n >= maxRuns {
		c.retire(run, c.runs[run], now)
	}
	return c.turns == turns
}

// oldest returns the run to evict of those that are accepted or of those that are not, and their number: one that is not authentic
// before one that is, and one that was heard long ago before one that was heard recently.
func (s *peers) oldest(accepted bool) (oldest Run, n int) {
	var of *peerRun
	for run, p := range s.runs {
		if p.accepted != accepted {
			continue
		}
		n++
		if of == nil || of.authentic && !p.authentic || of.authentic == p.authentic && compareLast(run, p, oldest, of) < 0 {
			oldest, of = run, p
		}
	}
	return oldest, n
}

// compareLast compares when two runs were last heard. Runs that were heard at the same time are ordered by their IDs.
func compareLast(a Run, p *peerRun, b Run, q *peerRun) int {
	return cmp.Or(p.last.Compare(q.last), slices.Compare(a[:], b[:]))
}

// retire forgets an accepted run, but not its highest counter.
func (c *Channel) retire(run Run, p *peerRun, now time.Time) {
	c.drop(run, p)
	if len(c.silent) > maxSilent {
		c.renew(now) // now no greeting from before is a proof, and the silent runs can be forgotten
	}
}

// drop forgets a run. Of an accepted one it remembers the highest counter.
func (s *peers) drop(run Run, p *peerRun) {
	delete(s.runs, run)
	if p.accepted {
		s.silent[run] = silentRun{max(p.seen.highest, p.seen.floor), s.turns}
	}
}

// heard notes an authentic datagram of a run.
func (c *Channel) heard(p *peerRun, counter uint64, now time.Time) {
	p.seen.see(counter)
	p.last = now
	if p.authentic {
		return
	}
	p.authentic = true
	if prior := c.runs[p.prior]; prior != nil {
		prior.over = true
	}
	c.hurry(now)
}

// forget forgets the runs that are silent.
func (c *Channel) forget(now time.Time) {
	for run, p := range c.runs {
		if now.Sub(p.last) > keepFor {
			c.retire(run, p, now)
		}
	}
}

// confirmed reports whether this host and each peer that it has heard accept each other, and the peers accept the announced run. It is
// false if there is no peer.
func (c *Channel) confirmed() bool {
	peers := 0
	for _, p := range c.runs {
		if !p.authentic || p.over {
			continue
		}
		if peers++; !p.accepted || !p.accepts || c.next != nil && !p.acceptsNext {
			return false
		}
	}
	return peers > 0
}

// heardRuns returns the runs for a greeting: at most maxNamed, those that are accepted first, then those that were heard last.
func (c *Channel) heardRuns() []named {
	type candidate struct {
		run Run
		p   *peerRun
	}
	var candidates []candidate
	for run, p := range c.runs {
		if (p.authentic || p.accepted) && !p.over {
			candidates = append(candidates, candidate{run, p})
		}
	}
	slices.SortFunc(candidates, func(a, b candidate) int {
		if a.p.accepted != b.p.accepted {
			if a.p.accepted {
				return -1
			}
			return 1
		}
		return compareLast(b.run, b.p, a.run, a.p)
	})
	c.names = c.names[:0]
	for _, one := range candidates[:min(len(candidates), maxNamed)] {
		c.names = append(c.names, named{one.run, one.p.accepted, one.p.accepts})
	}
	return c.names
}
