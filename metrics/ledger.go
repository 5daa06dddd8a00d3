package metrics

import (
	"time"

	"joolctl/supervisor"
	"joolctl/worker"
)

var tableSection = Section{
	Title: "Sessions, lag and exposure",
	Families: []Family{
		optional("joolctl_sessions", "sessions", "How many sessions the instance's table has. It is missing while the worker does not run.",
			func(r *supervisor.Row) *uint64 { return r.Sessions }),
		optional("joolctl_best_peer_sessions", "sessions", "How many sessions the largest table of a live peer has. It is missing if no live peer has said so.",
			func(r *supervisor.Row) *uint64 { return r.BestPeerSessions }),
		{Name: "joolctl_lag_sessions", Type: Gauge, Unit: "sessions",
			Help: "How many sessions of this host the slowest live peer had not stored at its last HELLO. It is missing without a live peer, or if the lag of one is not known.",
			pair: func(e *encoder, r *supervisor.Row) {
				if r.Lag != nil {
					e.count(r.Lag.Sessions)
				}
			}},
		{Name: "joolctl_lag_seconds", Type: Gauge, Unit: "seconds", Help: "How long ago the oldest of these sessions was sent.",
			pair: func(e *encoder, r *supervisor.Row) {
				if r.Lag != nil {
					e.number(r.Lag.Seconds)
				}
			}},
		{Name: "joolctl_exposure_seconds", Type: Gauge, Unit: "seconds",
			Help: "How long a new session waits in the module at most before the module reports it. The session is lost if the host dies meanwhile.",
			pair: func(e *encoder, r *supervisor.Row) {
				if r.Exposure != nil {
					e.number(r.Exposure.AtMostSeconds)
				}
			}},
		{Name: "joolctl_lost_sessions_total", Type: Counter, Unit: "sessions",
			Help: "Sessions that the module did not report, that could not be sent, or that the module could not store. A full sync may have brought them since.",
			pair: func(e *encoder, r *supervisor.Row) { e.count(r.LostSessions) }},
	},
}

// optional returns a family whose samples may be missing.
func optional(name, unit, help string, value func(*supervisor.Row) *uint64) Family {
	return Family{Name: name, Type: Gauge, Unit: unit, Help: help, pair: func(e *encoder, r *supervisor.Row) {
		if n := value(r); n != nil {
			e.count(*n)
		}
	}}
}

// counter returns a family that counts sessions, datagrams or other items. The item's noun ends the name.
func counter(name, unit, help string, value func(*supervisor.Row) uint64) Family {
	return Family{Name: "joolctl_" + name + "_total", Type: Counter, Unit: unit, Help: help, pair: func(e *encoder, r *supervisor.Row) { e.count(value(r)) }}
}

// stage returns a counter of the ledger.
func stage(name, help string, value func(*worker.Ledger) uint64) Family {
	return counter(name+"_sessions", "sessions", help, func(r *supervisor.Row) uint64 { return value(&r.Ledger) })
}

var ledgerSection = Section{
	Title: "Ledger",
	Text: "The ledger accounts for each session, stage by stage. `reported - coalesced + refreshed = sent + unsent` holds for the sessions from the module, and\n" +
		"`received + injected = ignored + untranslated + given` for those from peers, except for sessions that wait.",
	Families: []Family{
		stage("reported", "Sessions that the module has reported.", func(l *worker.Ledger) uint64 { return l.Reported }),
		stage("coalesced", "Reports that were not sent at once, because only the time left of the session had changed.", func(l *worker.Ledger) uint64 { return l.Coalesced }),
		stage("refreshed", "Coalesced sessions that were sent at the end of their refresh period.", func(l *worker.Ledger) uint64 { return l.Refreshed }),
		stage("sent", "Sessions in live datagrams that were sent.", func(l *worker.Ledger) uint64 { return l.Sent }),
		stage("unsent", "Sessions in live datagrams for which the network socket returned an error.", func(l *worker.Ledger) uint64 { return l.Unsent }),
		stage("retransmitted", "Sessions that were retransmitted because a peer had missed them.", func(l *worker.Ledger) uint64 { return l.Retransmitted }),
		stage("advertised", "Sessions of whole tables that were sent for upstream's joolds.", func(l *worker.Ledger) uint64 { return l.Advertised }),
		stage("received", "Sessions in received datagrams.", func(l *worker.Ledger) uint64 { return l.Received }),
		stage("translated", "Sessions that arrived in the format of another version of Jool.", func(l *worker.Ledger) uint64 { return l.Translated }),
		stage("cut", "Sessions whose time left was reduced to the timeout of this instance.", func(l *worker.Ledger) uint64 { return l.Cut }),
		stage("injected", "Sessions that full syncs brought and that were given to the module.", func(l *worker.Ledger) uint64 { return l.Injected }),
		stage("ignored", "Received sessions that were not given to the module, such as duplicates.", func(l *worker.Ledger) uint64 { return l.Ignored }),
		stage("given", "Sessions that were given to the module, in live datagrams and in full syncs.", func(l *worker.Ledger) uint64 { return l.Given }),
	},
}

// loss returns a counter of losses.
func loss(name, unit, help string, value func(*worker.Losses) uint64) Family {
	return counter(name, unit, help, func(r *supervisor.Row) uint64 { return value(&r.Losses) })
}

var lossSection = Section{
	Title: "Losses and errors",
	Families: []Family{
		loss("kernel_dropped_sessions", "sessions", "Sessions that the module did not report because its queue was full.", func(l *worker.Losses) uint64 { return l.KernelDropped }),
		loss("netlink_lost_sessions", "sessions", "Sessions that the module has reported and the worker has not received.", func(l *worker.Losses) uint64 { return l.NetlinkLost }),
		loss("netlink_overruns", "overruns", "How often reports overran the buffer of the netlink socket. Each overrun loses sessions.", func(l *worker.Losses) uint64 { return l.NetlinkOverruns }),
		loss("network_lost_datagrams", "datagrams", "Live datagrams of peers that are missing and that no retransmission brought. A full sync brings their sessions.", func(l *worker.Losses) uint64 { return l.NetworkLost }),
		loss("repaired_datagrams", "datagrams", "Live datagrams of peers that were missing and whose sessions arrived later.", func(l *worker.Losses) uint64 { return l.Repaired }),
		loss("written_off_datagrams", "datagrams", "Live datagrams of dead hosts that no live peer has received: their sessions are lost.", func(l *worker.Losses) uint64 { return l.WrittenOff }),
		loss("found_late_sessions", "sessions", "Sessions that this host lacked without knowing it, and that a comparison of tables has shown.", func(l *worker.Losses) uint64 { return l.FoundLate }),
		loss("ignored_claims", "claims", "Claims of peers to have sessions of a dead host that two full syncs in a row did not bring.", func(l *worker.Losses) uint64 { return l.IgnoredClaims }),
		loss("socket_dropped_datagrams", "datagrams", "Datagrams that the kernel dropped because the buffer of the network socket was full.", func(l *worker.Losses) uint64 { return l.SocketDrops }),
		loss("malformed_datagrams", "datagrams", "Datagrams that are neither lists of valid sessions nor valid control messages.", func(l *worker.Losses) uint64 { return l.Malformed }),
		loss("not_understood_datagrams", "datagrams", "Control messages and trailers of a newer version of joolctl.", func(l *worker.Losses) uint64 { return l.NotUnderstood }),
		loss("forged_datagrams", "datagrams", "Sealed datagrams that are not authentic.", func(l *worker.Losses) uint64 { return l.Forged }),
		loss("replayed_datagrams", "datagrams", "Sealed datagrams that arrived before, or that are too old.", func(l *worker.Losses) uint64 { return l.Replayed }),
		loss("unknown_key_datagrams", "datagrams", "Datagrams that were sealed with a key that the key file of this host does not have.", func(l *worker.Losses) uint64 { return l.UnknownKey }),
		loss("unconfirmed_datagrams", "datagrams", "Authentic datagrams of senders that have not heard this host yet, so that they may be recordings.", func(l *worker.Losses) uint64 { return l.Unconfirmed }),
		loss("throttled_datagrams", "datagrams", "Sealed datagrams of unknown senders that were dropped because too many of them arrived.", func(l *worker.Losses) uint64 { return l.Throttled }),
		loss("refused_clear_datagrams", "datagrams", "Clear datagrams that were dropped because \"security\" is \"require\".", func(l *worker.Losses) uint64 { return l.ClearRefused }),
		loss("unlisted_datagrams", "datagrams", "Datagrams that were dropped because \"peers\" does not list the address of their sender.", func(l *worker.Losses) uint64 { return l.Unlisted }),
		loss("untranslated_sessions", "sessions", "Received sessions that the format of this host's module cannot express.", func(l *worker.Losses) uint64 { return l.Untranslated }),
		loss("collided_sessions", "sessions", "Sessions of full syncs that the module refused because their transport address on the IPv4 side is mapped to another IPv6 host.", func(l *worker.Losses) uint64 { return l.Collisions }),
		loss("kernel_errors", "errors", "Requests to which the module replied with an error.", func(l *worker.Losses) uint64 { return l.KernelErrors }),
		loss("unsent_datagrams", "datagrams", "Datagrams for which the network socket returned an error.", func(l *worker.Losses) uint64 { return l.SendErrors }),
	},
}

// stat returns one of the counters of upstream's stats server.
func stat(name, unit, help string, value func(*worker.Stats) uint64) Family {
	return counter(name+"_"+unit, unit, help, func(r *supervisor.Row) uint64 { return value(&r.Stats) })
}

var statsSection = Section{
	Title: "Upstream's counters",
	Text:  "The six counters of joold's stats server. A packet is one datagram, or the one netlink message that carries a datagram's sessions. Only the bytes of sessions count.",
	Families: []Family{
		stat("kernel_sent", "packets", "Messages with sessions that the module was given.", func(s *worker.Stats) uint64 { return s.KernelSentPackets }),
		stat("kernel_sent", "bytes", "Bytes of sessions that the module was given.", func(s *worker.Stats) uint64 { return s.KernelSentBytes }),
		stat("net_rcvd", "packets", "Datagrams with sessions that were received.", func(s *worker.Stats) uint64 { return s.NetRcvdPackets }),
		stat("net_rcvd", "bytes", "Bytes of sessions that were received.", func(s *worker.Stats) uint64 { return s.NetRcvdBytes }),
		stat("net_sent", "packets", "Datagrams with sessions that were sent.", func(s *worker.Stats) uint64 { return s.NetSentPackets }),
		stat("net_sent", "bytes", "Bytes of sessions that were sent.", func(s *worker.Stats) uint64 { return s.NetSentBytes }),
	},
}

// timestamp returns a time in seconds since 1970, with a resolution of milliseconds.
func timestamp(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
