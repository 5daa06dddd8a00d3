package metrics

import (
	"strings"
	"time"

	"joolctl/supervisor"
)

var peerLabel = Label{Name: "peer"}

var peerSection = Section{
	Title: "Peers",
	Text: "The label `peer` is the source address of the peer's datagrams. A pair has 64 peers at most. Except for the first two, the metrics are missing for an upstream joold\n" +
		"and before a peer's first HELLO.",
	Families: []Family{
		ofPeer("joolctl_peer_live", "", "Whether the peer's next message is not overdue.", func(e *encoder, p *supervisor.Peer) { e.truth(p.Live, p.Address) }),
		ofPeer("joolctl_peer_last_heard_timestamp_seconds", "seconds", "When the peer's last datagram arrived, in seconds since 1970.", func(e *encoder, p *supervisor.Peer) {
			e.number(timestamp(e.at.Add(-time.Duration(p.LastHeardSeconds*float64(time.Second)))), p.Address)
		}),
		{Name: "joolctl_peer_info", Type: Info, Labels: []Label{peerLabel, {Name: "software"}, {Name: "version"}}, Help: "The program of the peer and the version of its Jool module.",
			pair: eachPeer(func(e *encoder, p *supervisor.Peer) {
				if p.Software != "" {
					e.count(1, p.Address, p.Software, p.Version)
				}
			})},
		{Name: "joolctl_peer_synced", Type: Gauge, Labels: []Label{peerLabel, {"synced", verdicts}}, Help: "The peer's verdict on its own table.",
			pair: eachPeer(func(e *encoder, p *supervisor.Peer) {
				if p.Synced == "" {
					return
				}
				for _, verdict := range verdicts {
					e.truth(p.Synced == verdict, p.Address, verdict)
				}
			})},
		{Name: "joolctl_peer_security", Type: Gauge, Labels: []Label{peerLabel, {"security", securities}}, Help: "The security mode of the peer, as its netsocket.json says. It is missing for an older joolctl.",
			pair: eachPeer(func(e *encoder, p *supervisor.Peer) {
				if p.Security == "" {
					return
				}
				for _, mode := range securities {
					e.truth(p.Security == mode, p.Address, mode)
				}
			})},
		ofPeer("joolctl_peer_sealing_key_id", "", "The ID of the key that the peer seals with. It is missing if this host opens no sealed datagrams of the peer.", func(e *encoder, p *supervisor.Peer) {
			if p.SealingKeyID != nil {
				e.count(uint64(*p.SealingKeyID), p.Address)
			}
		}),
		ofPeer("joolctl_peer_sessions", "sessions", "How many sessions the peer's table has.", peerCount(func(p *supervisor.Peer) *uint64 { return p.Sessions })),
		ofPeer("joolctl_peer_lag_sessions", "sessions", "How many sessions of this host the peer had not stored at its last HELLO. It is missing if the peer needs a full sync first.",
			func(e *encoder, p *supervisor.Peer) {
				if p.Lag != nil {
					e.count(p.Lag.Sessions, p.Address)
				}
			}),
		ofPeer("joolctl_peer_lag_seconds", "seconds", "How long ago the oldest of these sessions was sent.", func(e *encoder, p *supervisor.Peer) {
			if p.Lag != nil {
				e.number(p.Lag.Seconds, p.Address)
			}
		}),
		ofPeer("joolctl_peer_lost_datagrams_total", "datagrams", "Live datagrams of the peer that are missing and that no retransmission brought.", peerCount(func(p *supervisor.Peer) *uint64 { return p.Lost })),
		ofPeer("joolctl_peer_repaired_datagrams_total", "datagrams", "Live datagrams of the peer that were missing and whose sessions arrived later.", peerCount(func(p *supervisor.Peer) *uint64 { return p.Repaired })),
		ofPeer("joolctl_peer_differing_settings", "settings", "How many settings of the peer's instance differ from this host's.", func(e *encoder, p *supervisor.Peer) {
			if p.Software != "" {
				e.count(uint64(len(p.Differs)), p.Address)
			}
		}),
	},
}

// ofPeer returns a family whose only label besides pair is peer.
func ofPeer(name, unit, help string, write func(*encoder, *supervisor.Peer)) Family {
	f := Family{Name: name, Type: Gauge, Unit: unit, Labels: []Label{peerLabel}, Help: help, pair: eachPeer(write)}
	if strings.HasSuffix(name, "_total") {
		f.Type = Counter
	}
	return f
}

func eachPeer(write func(*encoder, *supervisor.Peer)) func(*encoder, *supervisor.Row) {
	return func(e *encoder, r *supervisor.Row) {
		for i := range r.Peers {
			write(e, &r.Peers[i])
		}
	}
}

// peerCount writes a number that may be missing.
func peerCount(value func(*supervisor.Peer) *uint64) func(*encoder, *supervisor.Peer) {
	return func(e *encoder, p *supervisor.Peer) {
		if n := value(p); n != nil {
			e.count(*n, p.Address)
		}
	}
}
