package supervisor

import (
	"net/netip"
	"slices"
	"time"

	"joolctl/joolnl"
	"joolctl/replication"
	"joolctl/seal"
)

// Peer is a host that sessions or messages were received from.
type Peer struct {
	// Address is the source address of its last datagram.
	Address string `json:"address"`
	// LastHeardSeconds is how long ago its last datagram arrived.
	LastHeardSeconds float64 `json:"last_heard_seconds"`
	// Live is true if the peer's next message is not overdue. An upstream joold is live for 25 seconds after its last datagram.
	Live bool `json:"live"`
	// Software is the name of the peer's program. It is missing for an upstream joold, and before a peer's first HELLO, as
	// all fields that follow are.
	Software string `json:"software,omitempty"`
	// Version is the version of the peer's Jool module.
	Version string `json:"version,omitempty"`
	// Synced is the peer's verdict on its own table: yes, no or alone.
	Synced string `json:"synced,omitempty"`
	// Sessions is how many sessions the peer's table has.
	Sessions *uint64 `json:"sessions,omitempty"`
	// Lag is how far the peer's table is behind this host's live datagrams. It is missing if that is not known, because the
	// peer needs a full sync first.
	Lag *Lag `json:"lag,omitempty"`
	// Lost counts live datagrams of the peer that are missing and that no retransmission brought.
	Lost *uint64 `json:"lost_datagrams,omitempty"`
	// Repaired counts live datagrams of the peer that were missing and whose sessions arrived later.
	Repaired *uint64 `json:"repaired_datagrams,omitempty"`
	// Security is the peer's "security", from its last HELLO: off, accept, send or require. It is missing for an older joolctl.
	Security string `json:"security,omitempty"`
	// KeyIDs are the IDs of the keys in the peer's key file, in its order: the first key seals. It is missing without a key file.
	KeyIDs []int `json:"key_ids,omitempty"`
	// SealingKeyID is the ID of the key that the peer's present datagrams are sealed with. After the first key has changed, the peer seals
	// with the key before for up to 30 seconds. It is missing if this host opens no sealed datagrams of the peer.
	SealingKeyID *int `json:"sealing_key_id,omitempty"`
	// Differs names the settings of the peer's instance that differ from this host's.
	Differs []string `json:"differs,omitempty"`
}

// peersOf describes the peers of a worker.
func peersOf(heard []replication.PeerInfo, now time.Time) []Peer {
	peers := []Peer{}
	for _, peer := range heard {
		p := Peer{Address: peer.Address.String(), LastHeardSeconds: seconds(now.Sub(peer.LastHeard)), Live: isLive(&peer, now)}
		if peer.ID != 0 {
			p.Lost, p.Repaired = &peer.Lost, &peer.Repaired
		}
		if peer.Software != "" { // it has sent a HELLO
			sessions := uint64(peer.Sessions)
			p.Software, p.Version, p.Synced = peer.Software, joolnl.Version(peer.Module).String(), peer.Sync.String()
			p.Sessions, p.Differs, p.Lag = &sessions, peer.Differs, lagOf(&peer)
			if s := &peer.Security; s.Known {
				p.Security, p.KeyIDs = s.Mode.String(), keyIDs(s)
			}
		}
		peers = append(peers, p)
	}
	return peers
}

// isLive reports whether a peer is live. An upstream joold is live if it was heard lately.
func isLive(p *replication.PeerInfo, now time.Time) bool {
	if p.ID == 0 {
		return now.Sub(p.LastHeard) <= heardWithin
	}
	return !now.After(p.LiveUntil)
}

// lagOf returns the lag of a peer; nil: it is not known.
func lagOf(p *replication.PeerInfo) *Lag {
	if !p.Lag.Known {
		return nil
	}
	return &Lag{Sessions: p.Lag.Sessions, Seconds: seconds(p.Lag.Age)}
}

// takePeers copies into a row the peers, and the numbers computed from all of them.
func (r *Row) takePeers(heard []replication.PeerInfo, now time.Time) {
	r.Peers = peersOf(heard, now)
	for i := range r.Peers {
		if p := &r.Peers[i]; p.Live && p.Sessions != nil && (r.BestPeerSessions == nil || *p.Sessions > *r.BestPeerSessions) {
			r.BestPeerSessions = p.Sessions
		}
	}
	for i := range r.ConfiguredPeers {
		c := &r.ConfiguredPeers[i]
		c.Heard = slices.ContainsFunc(heard, func(p replication.PeerInfo) bool { return isAt(c.Address, p.Address) })
	}
	r.Lag = largestLag(heard, now)
}

// takeLinks copies into a row the keys that the peers seal with.
func (r *Row) takeLinks(links []seal.Link) {
	for i := range r.Peers {
		for _, l := range links {
			if r.Peers[i].Live && l.From.String() == r.Peers[i].Address {
				r.Peers[i].SealingKeyID = new(int(l.Key))
			}
		}
	}
}

// isAt reports whether a configured peer, with or without a port, has an address.
func isAt(configured string, address netip.Addr) bool {
	if with, err := netip.ParseAddrPort(configured); err == nil {
		return with.Addr() == address
	}
	return configured == address.String()
}

// largestLag returns the largest lag of a live peer; nil: no peer is live, or the lag of a live peer is not known.
func largestLag(heard []replication.PeerInfo, now time.Time) (largest *Lag) {
	most := replication.Lag{}
	for i := range heard {
		p := &heard[i]
		switch {
		case p.ID == 0 || !isLive(p, now):
			continue
		case !p.Lag.Known:
			return nil
		case largest == nil || p.Lag.Behind(most):
			most, largest = p.Lag, lagOf(p)
		}
	}
	return largest
}

// seconds returns a duration in seconds, rounded to milliseconds; a negative duration becomes 0.
func seconds(d time.Duration) float64 { return max(d, 0).Round(time.Millisecond).Seconds() }
