package worker

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"joolctl/joolnl"
	"joolctl/syncwire"
)

const (
	// maxPeers bounds what a flood of forged source addresses can make us keep.
	maxPeers = 64
	// aliveFor is how long after its last datagram a peer is still asked for
	// something: two idle HELLOs may get lost.
	aliveFor = 25 * time.Second
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
	stream  stream
	greeted bool // has said HELLO, since it is there
	back    bool // is there again, after aliveFor without a word
	asks    bool // in its last HELLO
	// gains are its HELLO's, if it tells them.
	tellsGains bool
	gains      uint32
	// served is when it was last sent the end of our whole table; zero: never.
	served time.Time
	// shortfall is by how much its table is larger than ours.
	shortfall shortfall
	// pauses are those after resyncs for reasons that concern it. They outlast its ID, which a forger can change.
	pauses pauses
	// tally is what it says that it sent, against what came.
	tally tally
	// Of its stream's lost and repaired, what audit has counted.
	lostCounted, repairedCounted uint64
}

// peers is the table of them. Only the instance's thread writes, and reads
// without the lock.
type peers struct {
	mu        sync.Mutex
	byAddress map[netip.Addr]*peer
	// bequest is what the worker before has left about them; nil: nothing, or it is
	// not needed any more.
	bequest map[syncwire.ID]bequeathed
	// ignored counts the sessions that go with a peer.
	ignored *atomic.Uint64
}

// heard notes a datagram. Where the table is full, the peer that was silent for
// longest makes room.
func (p *peers) heard(from netip.Addr, now time.Time) *peer {
	known := p.byAddress[from]
	p.mu.Lock()
	defer p.mu.Unlock()
	if known == nil {
		if p.byAddress == nil {
			p.byAddress = make(map[netip.Addr]*peer)
		}
		if len(p.byAddress) >= maxPeers {
			p.forgetOldest()
		}
		known = &peer{Peer: Peer{Address: from}, stream: stream{jitter: jitter}}
		p.byAddress[from] = known
	}
	known.heard(now)
	return known
}

// heard notes that it is there. Who was away may have other mappings now than we
// know of, and what it repeats does not tell: the module refuses a session whose
// mask another host has, and says nothing, or warns of itself.
func (k *peer) heard(now time.Time) {
	if !k.LastHeard.IsZero() && now.Sub(k.LastHeard) > aliveFor {
		k.greeted, k.back, k.served = false, true, time.Time{}
		k.stream.away = true
	}
	k.LastHeard = now
}

// jitter spreads what several receivers ask for at the same moment.
func jitter() time.Duration { return rand.N(10 * time.Millisecond) }

func (p *peers) forgetOldest() {
	var oldest *peer
	for _, other := range p.byAddress {
		if oldest == nil || other.LastHeard.Before(oldest.LastHeard) {
			oldest = other
		}
	}
	p.abandon(oldest)
	delete(p.byAddress, oldest.Address)
}

// abandon counts what waits behind a gap of a peer that is no more.
func (p *peers) abandon(known *peer) {
	if n := known.stream.pending(); n > 0 {
		p.ignored.Add(n)
	}
}

// named gives the peer the id that it now has; a new one retires the old, and
// what was missing of that. A worker that sends from another address than before,
// by another interface perhaps, is the same peer: what it sent on the way is missing.
func (p *peers) named(known *peer, id syncwire.ID) *peer {
	if known.ID == id {
		return known
	}
	moved := p.withID(id)
	p.mu.Lock()
	defer p.mu.Unlock()
	if moved != nil {
		delete(p.byAddress, moved.Address)
		moved.Address = known.Address
		moved.heard(known.LastHeard)
		p.byAddress[moved.Address] = moved
		return moved
	}
	known.ID = id
	known.Sync, known.served, known.greeted, known.back = syncwire.SyncNo, time.Time{}, false, false
	known.shortfall = shortfall{}
	known.tellsGains = false
	known.tally = tally{}
	p.abandon(known)
	known.stream = stream{sender: id, jitter: jitter, lost: known.stream.lost, repaired: known.stream.repaired}
	if b, ok := p.bequest[id]; ok {
		known.stream.started, known.stream.next = true, b.next
	}
	return known
}

// update changes what others see of a peer.
func (p *peers) update(known *peer, change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	known.Lost, known.Repaired = known.stream.lost, known.stream.repaired
}

// withID finds a worker of ours.
func (p *peers) withID(id syncwire.ID) *peer {
	for _, known := range p.byAddress {
		if known.ID == id && id != 0 {
			return known
		}
	}
	return nil
}

// best is the peer to ask for its table: of ours, alive, not among tried; one
// that is complete itself before others, then the one that holds the most.
func (p *peers) best(tried []syncwire.ID, now time.Time) *peer {
	var best *peer
	for _, known := range p.byAddress {
		if known.ID == 0 || now.Sub(known.LastHeard) > aliveFor || slices.Contains(tried, known.ID) {
			continue
		}
		if best == nil || better(known, best) {
			best = known
		}
	}
	return best
}

func better(a, b *peer) bool {
	if as, bs := a.Sync == syncwire.SyncYes, b.Sync == syncwire.SyncYes; as != bs {
		return as
	}
	return a.Sessions > b.Sessions
}

// lastHeard is when the last datagram of a worker of ours came.
func (p *peers) lastHeard() (last time.Time) {
	for _, known := range p.byAddress {
		if known.ID != 0 {
			last = maxTime(last, known.LastHeard)
		}
	}
	return last
}

// others reports whether there are peers of ours, alive, beside one.
func (p *peers) others(one *peer, now time.Time) bool {
	for _, known := range p.byAddress {
		if known != one && known.ID != 0 && now.Sub(known.LastHeard) < aliveFor {
			return true
		}
	}
	return false
}

// taking reports whether the peer that would be asked is still busy with our whole
// table.
func (p *peers) taking(now time.Time) bool {
	best := p.best(nil, now)
	return best != nil && best.Sync == syncwire.SyncNo && now.Sub(best.served) < takenWithin
}

// list copies the table, by address.
func (p *peers) list() []Peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]Peer, 0, len(p.byAddress))
	for _, known := range p.byAddress {
		list = append(list, known.Peer)
	}
	slices.SortFunc(list, func(a, b Peer) int { return a.Address.Compare(b.Address) })
	return list
}
