package replication

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"joolctl/syncwire"
)

// MaxPeers bounds the memory that a flood of forged source addresses can take.
const MaxPeers = 64

// Peers is the table of a host's peers.
type Peers struct {
	config PeersConfig
	known  map[peerKey]*Peer
	order  []*Peer // in the order in which they were first heard
	// stored is the sender whose sessions the table received last, and other is the last sender before that one.
	stored, other arrival
}

// arrival says when the table last received sessions of a sender. The ID 0 stands for several senders, or an unknown one.
type arrival struct {
	of syncwire.ID
	at time.Time
}

// PeersConfig has the functions that Peers calls; each may be nil.
type PeersConfig struct {
	// Expected returns the first live datagram of an origin that the host's table lacks, if that is known, and since when the
	// origin has been dead (zero: it is not dead).
	Expected func(origin syncwire.ID) (seq syncwire.Seq, dead time.Time, known bool)
	// Jitter is that of NewStream.
	Jitter func() time.Duration
	// Dropped receives the sessions that were buffered behind gaps of a peer that is forgotten.
	Dropped func(entries []byte)
}

// peerKey identifies a peer: one with an ID by its ID, an upstream joold by its address.
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

// NewPeers returns an empty table.
func NewPeers(config PeersConfig) *Peers {
	return &Peers{config: config, known: make(map[peerKey]*Peer)}
}

// Heard records a datagram of a sender, which arrived at a given time, and returns the sender; id is 0 for an upstream joold. A
// peer with an ID that sends from another address than before, over another interface perhaps, stays the same peer. If the table
// is full, another peer is forgotten.
func (p *Peers) Heard(from netip.Addr, id syncwire.ID, arrived time.Time) *Peer {
	known := p.known[keyOf(from, id)]
	if known == nil {
		known = p.add(from, id, arrived)
	}
	known.Address, known.replaced = from, false
	known.heard(p.storedOfOthers(id), arrived)
	return known
}

// Stored records that the table receives sessions of a sender, or may receive them soon. The ID 0 stands for several senders,
// or an unknown one.
func (p *Peers) Stored(of syncwire.ID, now time.Time) {
	if p.stored.of != of {
		p.other = p.stored
	}
	p.stored = arrival{of, now}
}

// storedOfOthers returns when the table last received sessions of a sender other than the given one; zero: never.
func (p *Peers) storedOfOthers(id syncwire.ID) time.Time {
	if p.stored.of == id {
		return p.other.at
	}
	return p.stored.at
}

// add adds a peer. The peer that was heard from that address before counts as ended until it is heard again.
func (p *Peers) add(from netip.Addr, id syncwire.ID, now time.Time) *Peer {
	known := &Peer{PeerInfo: PeerInfo{Address: from, ID: id}, Since: now, lived: true, Stream: NewStream(p.config.Jitter)}
	for _, other := range slices.Clone(p.order) {
		switch {
		case other.Address != from:
		case other.replaced:
			p.forget(other)
		default:
			other.replaced = true
			known.Pauses = other.Pauses // a forger can change the ID
		}
	}
	if len(p.known) >= MaxPeers {
		p.evict()
	}
	if p.config.Expected != nil && id != 0 {
		if next, dead, ok := p.config.Expected(id); ok {
			known.Stream.Start(next)
			if !dead.IsZero() && p.storedOfOthers(id).After(dead) {
				known.Stream.Absent()
			}
		}
	}
	p.known[keyOf(from, id)] = known
	p.order = append(p.order, known)
	return known
}

// Garbled records a datagram that does not identify its sender.
func (p *Peers) Garbled(from netip.Addr, now time.Time) {
	if !p.Knows(from) {
		p.Heard(from, 0, now)
	}
}

// Knows reports whether a peer was heard from an address.
func (p *Peers) Knows(from netip.Addr) bool {
	for _, other := range p.order {
		if other.Address == from && !other.replaced {
			return true
		}
	}
	return false
}

// evict forgets a peer that was replaced, or else the one that has been silent for longest.
func (p *Peers) evict() {
	var oldest *Peer
	for _, other := range p.order {
		if oldest == nil || other.replaced && !oldest.replaced || other.replaced == oldest.replaced && other.LastHeard.Before(oldest.LastHeard) {
			oldest = other
		}
	}
	p.forget(oldest)
}

// forget removes a peer, and drops the datagrams that are buffered behind gaps of it.
func (p *Peers) forget(k *Peer) {
	if p.config.Dropped != nil {
		for i := range k.Stream.buffered {
			p.config.Dropped(k.Stream.buffered[i].data)
		}
	}
	delete(p.known, keyOf(k.Address, k.ID))
	p.order = slices.DeleteFunc(p.order, func(other *Peer) bool { return other == k })
}

// ForgetAll removes all peers.
func (p *Peers) ForgetAll() {
	for _, k := range slices.Clone(p.order) {
		p.forget(k)
	}
}

// WithID returns the peer with an ID other than 0; nil: none is known.
func (p *Peers) WithID(id syncwire.ID) *Peer { return p.known[peerKey{id: id}] }

// All returns all peers, upstream's joolds too, in the order in which they were first heard. The caller must not change
// the slice.
func (p *Peers) All() []*Peer { return p.order }

// Live returns the live peers with an ID, by address.
func (p *Peers) Live(now time.Time) []*Peer {
	var live []*Peer
	for _, known := range p.order {
		if known.Live(now) {
			live = append(live, known)
		}
	}
	slices.SortFunc(live, func(a, b *Peer) int { return cmp.Or(a.Address.Compare(b.Address), cmp.Compare(a.ID, b.ID)) })
	return live
}

// isLive returns a function that reports whether an origin is a live peer.
func (p *Peers) isLive(now time.Time) func(syncwire.ID) bool {
	return func(id syncwire.ID) bool {
		known := p.WithID(id)
		return known != nil && known.Live(now)
	}
}

// AppendInfo appends what is known of each peer to list, by address, without those that were replaced. It allocates only if
// list has no room.
func (p *Peers) AppendInfo(list []PeerInfo) []PeerInfo {
	start := len(list)
	for _, known := range p.order {
		if !known.replaced {
			info := known.PeerInfo
			info.Lost, info.Repaired, info.LiveUntil = known.Stream.Lost(), known.Stream.Repaired(), known.liveUntil()
			info.Lag = known.lagging.Lag
			list = append(list, info)
		}
	}
	slices.SortFunc(list[start:], func(a, b PeerInfo) int { return cmp.Or(a.Address.Compare(b.Address), cmp.Compare(a.ID, b.ID)) })
	return list
}
