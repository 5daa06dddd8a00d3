package worker

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"joolctl/joolnl"
	"joolctl/replication"
	"joolctl/syncwire"
)

const (
	// maxPeers bounds what a flood of forged source addresses can make us keep.
	maxPeers = 64
	// aliveFor is how long a peer must have been silent for what is missing of it not to be asked for any more: two idle HELLOs
	// may get lost.
	aliveFor = 25 * time.Second
	// lateHello is how late a peer's next datagram may be for the peer to be live.
	lateHello = 2 * time.Second
	// takenWithin is how long after its end a peer is waited for to have compared
	// and injected our whole table.
	takenWithin = 2 * time.Minute
)

// Peer is a host that datagrams were heard from.
type Peer struct {
	// Address is the datagrams' source, without a zone.
	Address netip.Addr
	// LastHeard is when the last datagram came.
	LastHeard time.Time
	// ID tells a worker of ours; 0 is upstream's joold, of which nothing that
	// follows is known.
	ID       syncwire.ID
	Software string
	Module   joolnl.Version
	Sync     syncwire.Sync
	Sessions uint32
	// Lost and Repaired are datagrams of this peer's that did not come: for good,
	// and until they were asked for.
	Lost, Repaired uint64
	// Differs has the names of settings that are not ours.
	Differs []string
}

// peer is one of them with what it takes to listen to it.
type peer struct {
	Peer
	stream replication.Stream
	since  time.Time // when it was first heard
	// replaced is true if another sender was heard from its address and it was not heard since.
	replaced bool
	greeted  bool      // has said HELLO, since it is there
	asked    bool      // for a HELLO
	hello    time.Time // when its last HELLO came
	// wasComplete is when it last said that it does not lack sessions; zero: never.
	wasComplete time.Time
	// nextIn, dropping, generation and vector are its last HELLO's.
	nextIn     time.Duration
	dropping   bool
	generation uint32
	vector     []syncwire.Component
	// droppingSince is when it began to say that its module drops sessions; zero: it does not.
	droppingSince time.Time
	// restarts is that of its stream's restarts which is in the vector.
	restarts int
	// lived is true if it was live when its live datagrams were last taken into the vector.
	lived bool
	// ahead is since when another peer has had more of its datagrams than were heard here; zero: none has.
	ahead time.Time
	// uncovered is how many full syncs in a row did not bring what it says that it has of dead origins.
	uncovered int
	// served is when it was last sent the end of our whole table, and has not returned anything since; zero: never.
	// servedDoubts is completeness.doubts when that table was read.
	served       time.Time
	servedDoubts int
	// shortfall is by how much its table is larger than ours.
	shortfall replication.Shortfall
	// pauses are those after resyncs for reasons that concern it. The next one at its address has the same ones.
	pauses pauses
	// Of its stream's lost and repaired, what audit has counted.
	lostCounted, repairedCounted uint64
}

// peerKey names a peer: a worker of ours by its ID, which another one of the same host does not have; an upstream joold by
// its address.
type peerKey struct {
	id      syncwire.ID
	address netip.Addr // of an upstream joold
}

func keyOf(from netip.Addr, id syncwire.ID) peerKey {
	if id != 0 {
		return peerKey{id: id}
	}
	return peerKey{address: from}
}

// peers is the table of them. Only the instance's thread writes, and reads
// without the lock.
type peers struct {
	mu    sync.Mutex
	known map[peerKey]*peer
	order []*peer // as they were first heard
	// expected returns the live datagram of an origin that the table lacks first, if that is known.
	expected func(syncwire.ID) (syncwire.Seq, bool)
	jitter   func() time.Duration // of replication.Stream
	// ignored counts the sessions that go with a peer.
	ignored *atomic.Uint64
}

// heard notes a datagram of a sender; id is 0 for an upstream joold. A worker of ours that sends from another address than before,
// by another interface perhaps, is the same peer. Where the table is full, another peer makes room.
func (p *peers) heard(from netip.Addr, id syncwire.ID, now time.Time) *peer {
	known := p.known[keyOf(from, id)]
	p.mu.Lock()
	defer p.mu.Unlock()
	if known == nil {
		known = p.add(from, id, now)
	}
	known.Address, known.replaced = from, false
	known.heard(now)
	return known
}

// add makes a peer. Who was heard from that address before is taken to have ended, until it is heard again.
func (p *peers) add(from netip.Addr, id syncwire.ID, now time.Time) *peer {
	if p.known == nil {
		p.known = make(map[peerKey]*peer)
	}
	known := &peer{Peer: Peer{Address: from, ID: id}, since: now, lived: true, stream: replication.NewStream(p.jitter)}
	for _, other := range slices.Clone(p.order) {
		switch {
		case other.Address != from:
		case other.replaced:
			p.forget(other)
		default:
			other.replaced = true
			known.pauses = other.pauses // a forger can change the ID
		}
	}
	if len(p.known) >= maxPeers {
		p.forgetOne()
	}
	if p.expected != nil && id != 0 {
		if next, ok := p.expected(id); ok {
			known.stream.Start(next)
		}
	}
	p.known[keyOf(from, id)] = known
	p.order = append(p.order, known)
	return known
}

// garbled notes a datagram from which no sender can be told.
func (p *peers) garbled(from netip.Addr, now time.Time) {
	for _, other := range p.order {
		if other.Address == from && !other.replaced {
			return
		}
	}
	p.heard(from, 0, now)
}

// heard notes that it is there. Who was away may have other mappings now than we
// know of, and what it repeats does not tell: the module refuses a session whose
// mask another host has, and says nothing, or warns of itself.
func (k *peer) heard(now time.Time) {
	if !k.LastHeard.IsZero() && now.Sub(k.LastHeard) > aliveFor {
		k.greeted, k.served = false, time.Time{}
		k.stream.Absent()
	}
	k.LastHeard = now
}

// live reports whether a peer of ours is there.
func (k *peer) live(now time.Time) bool {
	return k.ID != 0 && !k.replaced && !now.After(k.liveUntil())
}

// liveUntil is until when a peer is live that is not heard again: lateHello after its next HELLO is expected.
func (k *peer) liveUntil() time.Time {
	nextIn := helloIdle
	if k.greeted && k.nextIn > 0 {
		nextIn = min(k.nextIn, helloIdle)
	}
	return k.LastHeard.Add(nextIn + lateHello)
}

// forgetOne forgets one that was replaced, or else the one that was silent for longest.
func (p *peers) forgetOne() {
	var oldest *peer
	for _, other := range p.order {
		if oldest == nil || other.replaced && !oldest.replaced || other.replaced == oldest.replaced && other.LastHeard.Before(oldest.LastHeard) {
			oldest = other
		}
	}
	p.forget(oldest)
}

// forget forgets one, and counts what waits behind a gap of it.
func (p *peers) forget(k *peer) {
	if n := k.stream.BufferedSessions(); n > 0 {
		p.ignored.Add(n)
	}
	delete(p.known, keyOf(k.Address, k.ID))
	p.order = slices.DeleteFunc(p.order, func(other *peer) bool { return other == k })
}

// forgetAll forgets all of them.
func (p *peers) forgetAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range slices.Clone(p.order) {
		p.forget(k)
	}
}

// update changes what others see of a peer.
func (p *peers) update(known *peer, change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	known.Lost, known.Repaired = known.stream.Lost(), known.stream.Repaired()
}

// withID finds a worker of ours; nil: it is not known.
func (p *peers) withID(id syncwire.ID) *peer {
	return p.known[peerKey{id: id}]
}

// better reports whether a is to be asked for its table rather than b if both have as much of what is missing: one that is
// complete itself, then the one that holds more sessions.
func better(a, b *peer) bool {
	if as, bs := a.Sync == syncwire.SyncYes, b.Sync == syncwire.SyncYes; as != bs {
		return as
	}
	return a.Sessions > b.Sessions
}

// all returns all workers of ours that are live, by address.
func (p *peers) all(now time.Time) []*peer {
	var live []*peer
	for _, known := range p.order {
		if known.live(now) {
			live = append(live, known)
		}
	}
	slices.SortFunc(live, func(a, b *peer) int { return cmp.Or(a.Address.Compare(b.Address), cmp.Compare(a.ID, b.ID)) })
	return live
}

// list copies the table, by address.
func (p *peers) list() []Peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]Peer, 0, len(p.known))
	for _, known := range p.order {
		if !known.replaced {
			list = append(list, known.Peer)
		}
	}
	slices.SortFunc(list, func(a, b Peer) int { return cmp.Or(a.Address.Compare(b.Address), cmp.Compare(a.ID, b.ID)) })
	return list
}
