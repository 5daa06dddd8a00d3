package supervisor

import (
	"net/netip"
	"strings"
	"time"

	"joolctl/configdir"
	"joolctl/replication"
	"joolctl/worker"
)

// Row describes one pair and its worker.
type Row struct {
	// Name is the name of the pair.
	Name string `json:"name"`
	// Namespace is the network namespace of the instance, as modsocket.json names it. It is empty for the program's own namespace.
	Namespace string `json:"namespace"`
	// Instance is the name of the Jool instance.
	Instance string `json:"instance"`
	// Group is the multicast group and its UDP port. It is empty without a group, and if the files of the pair were never usable.
	Group string `json:"group"`
	// ConfiguredPeers are the peers that netsocket.json lists. It is empty if netsocket.json lists none.
	ConfiguredPeers []ConfiguredPeer `json:"configured_peers"`
	// Security says which datagrams the pair seals and takes: off, accept, send or require, as netsocket.json says.
	Security string `json:"security"`
	// KeyIDs are the IDs of the keys in the key file, in its order: the first key seals. It is missing without a key file.
	KeyIDs []int `json:"key_ids,omitempty"`
	// State is one of running, waiting, backoff and failed.
	State State `json:"state"`
	// Reason says in one line why the pair is in this state, with the remedy. It is empty if all is well. Its wording may change.
	Reason string `json:"reason"`
	// Since is when the pair came into its state.
	Since time.Time `json:"since"`
	// Restarts is how often the pair's worker was started again.
	Restarts int `json:"restarts"`
	// Synced is yes if the table has all sessions of the live peers' tables, no if not, and alone if no live peer can tell.
	Synced string `json:"synced"`
	// Reasons are why the host is not ready to take over this instance, as in the output of ready.
	Reasons []replication.Reason `json:"reasons"`
	// Warnings are reasons that do not keep this host from taking over: those that concern the peers, and datagrams that were refused.
	Warnings []replication.Reason `json:"warnings"`
	// Sessions is how many sessions the instance's table has. It is missing while the worker does not run.
	Sessions *uint64 `json:"sessions,omitempty"`
	// BestPeerSessions is how many sessions the largest table of a live peer has. It is missing if no live peer has said so.
	BestPeerSessions *uint64 `json:"best_peer_sessions,omitempty"`
	// Lag is the largest lag of a live peer. It is missing if there is no live peer, or if a live peer's lag is not known.
	Lag *Lag `json:"lag,omitempty"`
	// Rates are the rates of sessions. They are missing in the first second of a pair.
	Rates *Rates `json:"rates,omitempty"`
	// LostSessions counts sessions that did not get to their destination: those that the module did not report, that could
	// not be sent, or that the module could not store. A full sync may have brought them since.
	LostSessions uint64 `json:"lost_sessions"`
	// FullSync is the full sync that this host receives at the moment. It is missing if there is none.
	FullSync *FullSyncProgress `json:"full_sync,omitempty"`
	// FullSyncs counts the full syncs that this host received or requested, by their result.
	FullSyncs worker.FullSyncs `json:"full_syncs"`
	// LastFullSync is the last full sync that was stored. It is missing before the first.
	LastFullSync *FullSync `json:"last_full_sync,omitempty"`
	// Advertise is the last advertise, under way or ended. It is missing if there was none.
	Advertise *replication.Advertise `json:"advertise,omitempty"`
	// Stats are the six counters of upstream's stats server.
	Stats worker.Stats `json:"stats"`
	// Ledger accounts for every session, by stage. All of its counters count sessions.
	Ledger worker.Ledger `json:"ledger"`
	// Losses counts sessions, datagrams and requests that were lost, refused or could not be used.
	Losses worker.Losses `json:"losses"`
	// DifferingCounters has a line for each pair of counters that should agree and do not.
	DifferingCounters []string `json:"differing_counters"`
	// Exposure is how long a new session exists on this host only. It is missing while the worker does not run.
	Exposure *Exposure `json:"exposure,omitempty"`
	// Kernel has the module's counters by Jool's names. It is empty if the module does not answer in time.
	Kernel map[string]uint64 `json:"kernel"`
	// UnlistedSender is the last address that sent a datagram although netsocket.json does not list it. A peer may send from there. It
	// is missing if there was none since the worker's start.
	UnlistedSender *UnlistedSender `json:"unlisted_sender,omitempty"`
	// Peers are the hosts that sessions or messages were received from, at most 64.
	Peers []Peer `json:"peers"`
}

// ConfiguredPeer is a peer that netsocket.json lists.
type ConfiguredPeer struct {
	// Address is the peer's address and UDP port. The port is missing beside a group.
	Address string `json:"address"`
	// Heard is true if a datagram has arrived from the address, with any port, since the worker's start.
	Heard bool `json:"heard"`
}

// UnlistedSender is an address that sends datagrams and that netsocket.json does not list.
type UnlistedSender struct {
	// Address is the source address of the datagram.
	Address string `json:"address"`
	// LastHeardSeconds is how long ago it arrived, to the second.
	LastHeardSeconds float64 `json:"last_heard_seconds"`
}

// PeerNames returns the peers that netsocket.json lists, in one line.
func (r *Row) PeerNames() string {
	names := make([]string, len(r.ConfiguredPeers))
	for i := range r.ConfiguredPeers {
		names[i] = r.ConfiguredPeers[i].Address
	}
	return strings.Join(names, ", ")
}

// configuredPeers returns the peers of a spec.
func configuredPeers(s *configdir.Spec) []ConfiguredPeer {
	peers := make([]ConfiguredPeer, 0, s.Peers.Len())
	for peer := range s.Peers.All() {
		peers = append(peers, ConfiguredPeer{Address: configdir.PeerName(peer)})
	}
	return peers
}

// Lag is how far a peer's table is behind this host's live datagrams, by the peer's last HELLO. Under traffic, peers send one each
// second.
type Lag struct {
	// Sessions is how many sessions this host had sent and the peer had not stored.
	Sessions uint64 `json:"sessions"`
	// Seconds is how long ago the oldest of them was sent. It is 0 if the peer had stored all.
	Seconds float64 `json:"seconds"`
}

// Rates are sessions per second, over the last 10 to 15 seconds, or since the pair's start if that is later.
type Rates struct {
	// WindowSeconds is the time over which the rates are computed.
	WindowSeconds float64 `json:"window_seconds"`
	// In is the rate of sessions that were given to the module, in live datagrams and in full syncs.
	In float64 `json:"in_sessions_per_second"`
	// Out is the rate of sessions that were sent to the peers in live datagrams.
	Out float64 `json:"out_sessions_per_second"`
}

// Exposure is how long a new session waits in the module before the module reports it. The session is lost if the host dies meanwhile.
type Exposure struct {
	// AtMostSeconds is the longest time after the session's first packet, without load.
	AtMostSeconds float64 `json:"at_most_seconds"`
	// Refused is the module's error for the settings of "tune ss". It is missing if there is none.
	Refused string `json:"refused,omitempty"`
	// Remedy says how to make the time shorter. It is missing if the time is short.
	Remedy string `json:"remedy,omitempty"`
}

// groupOf returns the group and port of a spec; "": the spec has no group.
func groupOf(s *configdir.Spec) string {
	if !s.Group.IsValid() {
		return ""
	}
	return netip.AddrPortFrom(s.Group, s.Port).String()
}

// count copies the pair's counters into a row.
func (r *Row) count(c *worker.Counters) {
	r.Stats, r.Ledger, r.Losses = c.Stats(), c.Ledger(), c.Losses()
	r.LostSessions, r.FullSyncs = c.LostSessions(), c.FullSyncs()
}

// take copies the worker's state into a row.
func (r *Row) take(s worker.SyncState) {
	r.Synced, r.Advertise = s.Synced.String(), s.Advertise
	r.FullSync, r.LastFullSync = progressOf(s), fullSyncOf(s.Last)
	r.DifferingCounters = append(r.DifferingCounters, s.Broken...)
	r.Exposure = &Exposure{AtMostSeconds: s.Exposure.AtMost.Seconds(), Refused: s.Exposure.Refused, Remedy: s.Exposure.Remedy}
	r.Sessions = &s.Sessions
	r.takeLinks(s.Links)
	if s.Unlisted.IsValid() {
		r.UnlistedSender = &UnlistedSender{Address: s.Unlisted.String(), LastHeardSeconds: seconds(time.Since(s.UnlistedAt))}
	}
}
