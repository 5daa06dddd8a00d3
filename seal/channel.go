package seal

import (
	"crypto/cipher"
	"crypto/rand"
	"net/netip"
	"slices"
	"time"
)

const (
	// runFor is how long a run lasts, and announceFor is how long a host announces the next one at most.
	runFor      = time.Hour
	announceFor = 30 * time.Second
	// maxClockStep is how far the wall clock and the monotonic clock may diverge between two datagrams. If they diverge further, the
	// host may have been set back to a snapshot, and must not use a counter twice.
	maxClockStep = time.Second
	// maxEnded is how many of its own ended runs a host remembers.
	maxEnded = 4
)

// Outcome is the result of Open.
type Outcome uint8

// The outcomes of Open.
const (
	Opened      Outcome = iota // authentic, and of an accepted run
	Greeting                   // an authentic greeting, which the Channel has processed
	Own                        // of this host
	UnknownKey                 // sealed with a key that this host does not have
	Throttled                  // of an unknown run, while too many of them arrive
	Forged                     // not authentic, or shorter than any sealed datagram
	Replayed                   // with a counter that was seen before, is too old, or is from before the run was accepted
	Unconfirmed                // authentic, but the run has not named a run of this host, so it may be a recording
	Malformed                  // authentic, but neither a greeting nor a content
)

// Outcomes is how many outcomes there are.
const Outcomes = int(Malformed) + 1

// Channel seals the datagrams of a host, and opens those of its peers. It has no lock. The times that it is given may decrease by some
// milliseconds.
type Channel struct {
	keys    Keys
	context Context
	derive  []*deriver // for each key
	peers

	own      *ownRun
	next     *ownRun   // announced; nil: none is
	deadline time.Time // when next begins at the latest
	ended    []Run     // own runs, to recognise own datagrams that a network returns
	last     time.Time // the time of the last call, to compare the clocks
	schedule
	links  uint64
	opened *peerRun // of the last datagram, if that was authentic

	nonce [12]byte
	names []named // memory for a greeting
	bytes []byte  // likewise
	// random fills a byte slice with random bytes, and wall returns the wall clock's part of a time. Tests replace them.
	random func([]byte)
	wall   func(time.Time) time.Time
}

// ownRun is a run of this host.
type ownRun struct {
	key     uint8
	run     Run
	aead    cipher.AEAD
	counter uint64 // of the last datagram
	began   time.Time
}

// NewChannel returns a Channel with a new run. There must be at least one key.
func NewChannel(keys Keys, c Context, now time.Time) *Channel {
	return NewSimulated(keys, c, now, func(b []byte) {
		_, _ = rand.Read(b) // never fails
	})
}

// NewSimulated is NewChannel for simulations that repeat: random fills a slice with the random part of a run ID. It must not return the
// same bytes again, because two runs with one ID use the counters of one key twice.
func NewSimulated(keys Keys, context Context, now time.Time, random func([]byte)) *Channel {
	c := &Channel{context: context, last: now, random: random, wall: func(t time.Time) time.Time { return t.Round(0) }}
	c.peers.init(now)
	c.setKeys(keys)
	c.renew(now)
	return c
}

// String says nothing of the keys but their IDs.
func (c *Channel) String() string { return "channel with " + c.keys.String() }

// GoString is String, so that no format prints a secret.
func (c *Channel) GoString() string { return c.String() }

func (c *Channel) setKeys(keys Keys) {
	var derive []*deriver
	for key := range keys.All() {
		at := slices.IndexFunc(c.derive, func(d *deriver) bool { return d.key == key })
		if at >= 0 {
			derive = append(derive, c.derive[at])
			continue
		}
		derive = append(derive, newDeriver(key, c.context))
	}
	c.keys, c.derive = keys, derive
}

// deriver returns the deriver of a key, or nil if this host does not have the key.
func (c *Channel) deriver(key uint8) *deriver {
	for _, d := range c.derive {
		if d.key.ID == key {
			return d
		}
	}
	return nil
}

// newOwnRun returns a run that seals with the first key.
func (c *Channel) newOwnRun(now time.Time) *ownRun {
	d := c.derive[0]
	o := &ownRun{key: d.key.ID, began: now}
	c.random(o.run[:randomLen])
	d.mark(&o.run)
	o.aead = d.aead(&o.run)
	return o
}

// renew begins a run that was not announced. No greeting of a peer from before is a proof any more, so each peer has to name the new
// run before its datagrams are opened again.
func (c *Channel) renew(now time.Time) {
	if c.next != nil {
		c.end(c.next.run)
	}
	c.begin(c.newOwnRun(now), now)
	c.peers.doubt()
}

// begin makes a run the host's own.
func (c *Channel) begin(o *ownRun, now time.Time) {
	if c.own != nil {
		c.end(c.own.run)
	}
	o.began = now
	c.own, c.next = o, nil
	c.peers.turned()
	c.hurry(now)
}

// end remembers an own run that has ended.
func (c *Channel) end(r Run) {
	if len(c.ended) == maxEnded {
		c.ended = slices.Delete(c.ended, 0, 1)
	}
	c.ended = append(c.ended, r)
}

// announce announces a run, which begins as soon as all peers accept it.
func (c *Channel) announce(now time.Time) {
	if c.next != nil {
		c.end(c.next.run)
	}
	c.next, c.deadline = c.newOwnRun(now), now.Add(announceFor)
	c.peers.forgetNext()
	c.hurry(now)
}

// SetKeys changes the keys. A key that is kept stays usable without an interruption. If the first key is another one and the present run
// has a kept key, the next run is announced in the present one. If the key of the present run is removed, a new run begins at once.
func (c *Channel) SetKeys(keys Keys, now time.Time) {
	c.turn(now)
	before := c.keys
	c.setKeys(keys)
	same := func(id uint8) bool {
		is, here := keys.With(id)
		was, _ := before.With(id)
		return here && is == was
	}
	for run, p := range c.runs {
		if !same(p.key) {
			c.drop(run, p)
		}
	}
	first := keys.First().ID
	switch {
	case !same(c.own.key):
		c.renew(now)
	case c.next != nil && (c.next.key != first || !same(first)):
		c.end(c.next.run)
		c.next = nil
	}
	if c.next == nil && c.own.key != first {
		c.announce(now)
	}
	c.hurry(now)
}

// Seal appends a sealed datagram to dst. content begins with a byte other than KindGreeting. It must not overlap dst, but it may lie
// HeadLen bytes behind the end of dst, where its ciphertext is written.
func (c *Channel) Seal(dst, content []byte, now time.Time) []byte {
	c.turn(now)
	return c.seal(dst, content)
}

// seal seals with the present run.
func (c *Channel) seal(dst, content []byte) []byte {
	c.own.counter++
	h := head{c.own.key, c.own.run, c.own.counter}
	at := len(dst)
	dst = h.append(dst)
	return c.own.aead.Seal(dst, nonceOf(&c.nonce, h.counter), content, dst[at:])
}

// turn begins a new run if the clocks show that the host may have been set back, and announces and begins the next run in time.
func (c *Channel) turn(now time.Time) {
	elapsed, wall := now.Sub(c.last), c.wall(now).Sub(c.wall(c.last))
	c.last = now
	switch {
	case (wall - elapsed).Abs() > maxClockStep:
		c.renew(now)
	case c.next == nil && now.Sub(c.own.began) >= runFor-announceFor:
		c.announce(now)
	case c.next != nil && !now.Before(c.deadline):
		c.begin(c.next, now)
	}
}

// isOwn reports whether a run is or was one of this host.
func (c *Channel) isOwn(r *Run) bool { return c.proves(r) || slices.Contains(c.ended, *r) }

// proves reports whether a greeting that names a run is from this host's present: the run is the present or the announced one.
func (c *Channel) proves(r *Run) bool { return *r == c.own.run || c.next != nil && *r == c.next.run }

// Links counts how often a peer was found with which this host can exchange datagrams in both directions. A peer that only begins its
// next run does not count.
func (c *Channel) Links() uint64 { return c.links }

// Open opens a sealed datagram in place. content is a part of b, not empty, and valid only if the outcome is Opened.
func (c *Channel) Open(b []byte, now time.Time) (content []byte, outcome Outcome) {
	c.turn(now)
	c.opened = nil
	if !IsSealed(b) {
		return nil, Forged
	}
	h := parseHead(b)
	p := c.runs[h.run]
	if p == nil {
		if p, outcome = c.try(h, now); p == nil {
			return nil, outcome
		}
	}
	switch {
	case p.key != h.key:
		return nil, Forged
	case !p.seen.fresh(h.counter):
		return nil, Replayed
	}
	content, err := p.aead.Open(b[HeadLen:HeadLen], nonceOf(&c.nonce, h.counter), b[HeadLen:], b[:HeadLen])
	if err != nil {
		return nil, Forged
	}
	c.opened = p
	c.heard(p, h.counter, now)
	switch {
	case len(content) == 0:
		return nil, Malformed
	case content[0] == KindGreeting:
		return nil, c.greeted(p, h, content, now)
	case !p.accepted:
		c.greetBy(c.greetedAt.Add(greetUnconfirmed))
		return nil, Unconfirmed
	}
	p.contentAt = now
	return content, Opened
}

// OpenFrom is Open, and notes the source of an authentic datagram for Links.
func (c *Channel) OpenFrom(from netip.Addr, b []byte, now time.Time) (content []byte, outcome Outcome) {
	content, outcome = c.Open(b, now)
	if c.opened != nil {
		c.opened.from = from
	}
	return content, outcome
}

// greeted processes an authentic greeting.
func (c *Channel) greeted(p *peerRun, h head, content []byte, now time.Time) Outcome {
	g, ok := parseGreeting(content)
	if !ok {
		return Malformed
	}
	own, named := g.find(&c.own.run)
	acceptsNext := false
	if c.next != nil {
		next, namedNext := g.find(&c.next.run)
		named, acceptsNext = named || namedNext, next.accepted
	}
	linked := p.accepted && p.accepts
	if named && !p.accepted && c.admit(now) {
		p.accept(now)
		p.seen.close(h.counter)
		c.hurry(now)
	}
	if h.counter > p.greeting { // otherwise a later one has arrived before
		if p.accepts && !own.accepted {
			c.hurry(now)
		}
		p.greeting, p.accepts, p.acceptsNext, p.greetedAt = h.counter, own.accepted, acceptsNext, now
		switch {
		case own.accepted:
			p.deafSince = time.Time{}
		case p.deafSince.IsZero():
			p.deafSince = now
		}
	}
	if !own.accepted || !own.known || g.next != (Run{}) {
		c.greetBy(now) // the peer waits for an answer
	}
	if !linked && p.accepted && p.accepts {
		c.links++
	}
	if p.accepted && g.next != (Run{}) {
		c.expect(h.run, p, &g, now)
	}
	if c.next != nil && c.allAcceptNext() {
		c.begin(c.next, now)
	}
	return Greeting
}

// expect accepts a run that an accepted run announces. The announced run's datagrams are later than the announcement.
func (c *Channel) expect(prior Run, p *peerRun, g *greeting, now time.Time) {
	d := c.deriver(g.nextKey)
	if d == nil || c.isOwn(&g.next) {
		return
	}
	q := c.runs[g.next]
	if q == nil {
		if !d.made(&g.next) {
			return
		}
		q = c.newPeerRun(d, &g.next)
	}
	if q.accepted || !c.admit(now) {
		return
	}
	c.runs[g.next] = q
	p.over = q.authentic
	q.accept(now)
	q.accepts, q.prior, q.last = p.accepts, prior, now
	c.hurry(now)
}
