package worker

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// maxPeers bounds what a flood of forged source addresses can make us keep.
const maxPeers = 64

// Peer is a host that datagrams were heard from.
type Peer struct {
	// Address is the datagrams' source, without a zone.
	Address netip.Addr
	// LastHeard is when the last datagram came.
	LastHeard time.Time
}

// peers is the table of them.
type peers struct {
	mu   sync.Mutex
	last map[netip.Addr]time.Time
}

// heard notes a datagram. Where the table is full, the peer that was silent for
// longest makes room.
func (p *peers) heard(from netip.Addr, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.last[from]; !known {
		if p.last == nil {
			p.last = make(map[netip.Addr]time.Time)
		}
		if len(p.last) >= maxPeers {
			p.forgetOldest()
		}
	}
	p.last[from] = now
}

func (p *peers) forgetOldest() {
	var oldest netip.Addr
	for a, t := range p.last {
		if !oldest.IsValid() || t.Before(p.last[oldest]) {
			oldest = a
		}
	}
	delete(p.last, oldest)
}

func (p *peers) list() []Peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]Peer, 0, len(p.last))
	for a, t := range p.last {
		list = append(list, Peer{a, t})
	}
	slices.SortFunc(list, func(a, b Peer) int { return a.Address.Compare(b.Address) })
	return list
}
