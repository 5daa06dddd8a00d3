package replication

import (
	"fmt"
	"net/netip"
	"time"

	"joolctl/syncwire"
)

const (
	// PaddedKept is for how long a host tells a peer that a padded HELLO of the peer has arrived.
	PaddedKept = 30 * time.Second
	// PathEvery is how often a host checks whether packets of its MTU reach all peers, and SearchEvery how often it looks for the
	// longest packet that does if they do not.
	PathEvery   = time.Minute
	SearchEvery = 5 * time.Minute
	// PathTries and SearchTries are how many padded HELLOs of the host's MTU, or of a smaller one, must remain unconfirmed.
	PathTries   = 4
	SearchTries = 3
	// SearchStep is the difference between the MTU that a search finds and one that does not reach the peers, at most.
	SearchStep = 4
	// paddedAfter is how long after a padded HELLO a peer's HELLO must have arrived to show that the padded one was lost, and the least
	// time between two padded HELLOs.
	paddedAfter = 500 * time.Millisecond
)

// PathTrouble says that packets of a host's MTU do not reach a peer.
type PathTrouble struct {
	// Peer is the peer; the zero Addr: there is no trouble.
	Peer netip.Addr
	// MTU is the length of the packets that are lost. Works is that of the longest packets that reach all peers; 0: none of at least
	// syncwire.MinMTU does.
	MTU, Works int
	// Since is when the host found out.
	Since time.Time
}

// Reason words the trouble.
func (t PathTrouble) Reason() Reason {
	r := Reason{Code: PathMTU, Peer: t.Peer.String(), Since: t.Since}
	if t.Works == 0 {
		r.Text = fmt.Sprintf("peer %v does not receive packets of %d bytes, nor longer ones", t.Peer, t.MTU)
		r.Remedy = fmt.Sprintf("raise the MTU of the path to at least %d", syncwire.MinMTU)
		return r
	}
	r.Text = fmt.Sprintf("peer %v does not receive packets of %d bytes, but receives packets of %d bytes", t.Peer, t.MTU, t.Works)
	r.Remedy = fmt.Sprintf(`write "mtu": %d in the netsocket file of this host, or raise the MTU of the path`, t.Works)
	return r
}

// path looks for the longest packets that reach all peers. The peers confirm the padded HELLOs that they receive.
type path struct {
	phase pathPhase
	size  int       // the length of the packet whose padded HELLO the peers should confirm; 0: none is under way
	sent  time.Time // when the last such HELLO was sent
	tries int       // how many were sent
	low   int       // such packets reach all peers, or are the shortest ones that a host can be limited to
	high  int       // such packets do not reach a peer
	due   time.Time // when to check again; zero: at once
	PathTrouble
}

type pathPhase uint8

const (
	pathFull   pathPhase = iota // packets of the host's MTU
	pathSearch                  // shorter ones
	pathAgain                   // those of the host's MTU once more: chance may have lost the first ones
)

// restart discards the trouble and all measurements.
func (p *path) restart() { *p = path{} }

// next returns the length of the packet to send a padded HELLO for now, beside a HELLO; 0: none. mtu is the host's, message
// returns the length of the message in a packet of a length, and peers are the live peers that say what they have heard of this host.
func (p *path) next(mtu int, message func(size int) int, peers []*Peer, now time.Time) (size int) {
	if len(peers) == 0 {
		p.restart() // no peer can confirm a length
		return 0
	}
	if p.size != 0 {
		p.judge(mtu, message(p.size), peers, now)
	}
	if p.size == 0 && (!now.Before(p.due) || isNew(peers)) {
		p.phase = pathFull
		p.try(mtu)
	}
	if p.size == 0 || p.tries == p.most() || p.tries > 0 && now.Sub(p.sent) < paddedAfter {
		return 0
	}
	p.tries++
	p.sent = now
	return p.size
}

// isNew reports whether there is a peer that no search has considered.
func isNew(peers []*Peer) bool {
	for _, known := range peers {
		if !known.searched {
			return true
		}
	}
	return false
}

func (p *path) try(size int) { p.size, p.tries, p.sent = size, 0, time.Time{} }

// most returns how many padded HELLOs of the present length are sent.
func (p *path) most() int {
	if p.phase == pathSearch {
		return SearchTries
	}
	return PathTries
}

// judge decides whether packets of the present length reach all peers.
func (p *path) judge(mtu, message int, peers []*Peer, now time.Time) {
	var lost *Peer
	waits := false
	for _, known := range peers {
		if known.passes >= message {
			continue
		}
		if lost == nil {
			lost = known
		}
		waits = waits || known.hello.Sub(p.sent) < paddedAfter
	}
	switch {
	case p.tries == 0:
	case lost == nil && p.phase == pathSearch:
		p.low = p.size
		p.narrow(mtu)
	case lost == nil:
		p.PathTrouble = PathTrouble{}
		p.end(now.Add(PathEvery), peers)
	case waits || p.tries < p.most():
	case p.phase == pathAgain:
		p.found(lost, mtu, p.low, now)
		p.end(now.Add(SearchEvery), peers)
	case p.phase == pathSearch:
		p.high = p.size
		p.narrow(mtu)
	case mtu == syncwire.MinMTU:
		p.found(lost, mtu, 0, now)
		p.end(now.Add(SearchEvery), peers)
	default:
		p.phase, p.low, p.high = pathSearch, syncwire.MinMTU, mtu
		p.narrow(mtu)
	}
}

// narrow tries a length between low and high.
func (p *path) narrow(mtu int) {
	if p.high-p.low <= SearchStep {
		p.phase = pathAgain
		p.try(mtu)
		return
	}
	p.try(max((p.low+p.high)/2&^(SearchStep-1), p.low+1)) // many links have an MTU that is a multiple of 4
}

func (p *path) found(lost *Peer, mtu, works int, now time.Time) {
	if p.Since.IsZero() {
		p.Since = now
	}
	p.Peer, p.MTU, p.Works = lost.Address, mtu, works
}

// end ends the search.
func (p *path) end(due time.Time, peers []*Peer) {
	p.size, p.due = 0, due
	for _, known := range peers {
		known.searched = true
	}
}

// heard returns what a HELLO says of the live peers' padded HELLOs.
func (h *Host) heard(now time.Time) []syncwire.Heard {
	list := []syncwire.Heard{}
	for _, known := range h.Peers.Live(now) {
		if !known.sendsHeard || len(list) == syncwire.MaxHeard {
			continue
		}
		e := syncwire.Heard{ID: known.ID}
		if !known.paddedAt.IsZero() && now.Sub(known.paddedAt) < PaddedKept {
			e.Len = uint16(known.padded)
		}
		list = append(list, e)
	}
	return list
}

// heardPadded reads from the peer's HELLO which padded HELLO of this host has arrived there.
func (k *Peer) heardPadded(b *syncwire.Hello, self syncwire.ID) {
	k.passes = -1
	for _, e := range b.Heard {
		if e.ID == self {
			k.passes = int(e.Len)
		}
	}
}

// PaddedLen returns the length of the last padded HELLO that arrived from the peer.
func (k *Peer) PaddedLen() int { return k.padded }

// sendPadded sends a padded HELLO behind a HELLO if one is due.
func (h *Host) sendPadded(hello syncwire.Hello, now time.Time) {
	var peers []*Peer
	for _, known := range h.Peers.Live(now) {
		if known.sendsHeard && known.passes >= 0 {
			peers = append(peers, known)
		}
	}
	l := h.Limits
	size := h.path.next(l.MTU, func(size int) int { return l.Within(size).Message() }, peers, now)
	h.publishPath()
	if size != 0 {
		hello.Asks = false
		l.Within(size).Pad(&hello)
		h.send(&hello, nil)
	}
}

// publishPath emits a change of the PathTrouble.
func (h *Host) publishPath() {
	if h.path.PathTrouble != h.pathTold {
		h.pathTold = h.path.PathTrouble
		h.do.Emit(PathChanged{h.pathTold})
	}
}
