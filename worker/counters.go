package worker

import (
	"fmt"
	"strings"
	"sync/atomic"
)

// Counters are the counters of a pair. They never decrease, continue when the pair's worker is replaced, and may be read at
// any time. All of them are 64 bits wide.
type Counters struct {
	kernelSentPackets, kernelSentBytes atomic.Uint64
	netRcvdPackets, netRcvdBytes       atomic.Uint64
	netSentPackets, netSentBytes       atomic.Uint64

	netlinkOverruns atomic.Uint64
	socketDrops     atomic.Uint64
	malformed       atomic.Uint64
	notUnderstood   atomic.Uint64
	forged          atomic.Uint64
	replayed        atomic.Uint64
	unknownKey      atomic.Uint64
	unconfirmed     atomic.Uint64
	throttled       atomic.Uint64
	clearRefused    atomic.Uint64
	unlisted        atomic.Uint64
	kernelErrors    atomic.Uint64
	sendErrors      atomic.Uint64

	reported, coalesced, refreshed atomic.Uint64
	sentSessions, retransmitted    atomic.Uint64
	advertised, unsent             atomic.Uint64
	receivedSessions, given        atomic.Uint64
	ignored                        atomic.Uint64
	translated, untranslated, cut  atomic.Uint64
	injected, collisions           atomic.Uint64
	kernelDropped, netlinkLost     atomic.Uint64
	networkLost, networkRepaired   atomic.Uint64
	writtenOff, ignoredClaims      atomic.Uint64
	foundLate                      atomic.Uint64
	fullSyncs, unanswered          atomic.Uint64
	interrupted, tooLarge          atomic.Uint64

	checkpoints checkpoints // the checkpoint from which the pair's next worker resumes
}

// Stats has the six counters of upstream's stats server. A packet is one datagram, or the one netlink message that carries a
// datagram's sessions. Only the bytes of sessions count.
type Stats struct {
	// KernelSentPackets counts the messages with sessions that the module was given.
	KernelSentPackets uint64 `json:"KERNEL_SENT_PKTS"`
	// KernelSentBytes counts the bytes of sessions in them.
	KernelSentBytes uint64 `json:"KERNEL_SENT_BYTES"`
	// NetRcvdPackets counts the datagrams with sessions that were received.
	NetRcvdPackets uint64 `json:"NET_RCVD_PKTS"`
	// NetRcvdBytes counts the bytes of sessions in them.
	NetRcvdBytes uint64 `json:"NET_RCVD_BYTES"`
	// NetSentPackets counts the datagrams with sessions that were sent.
	NetSentPackets uint64 `json:"NET_SENT_PKTS"`
	// NetSentBytes counts the bytes of sessions in them.
	NetSentBytes uint64 `json:"NET_SENT_BYTES"`
}

// Add returns the sum of s and t.
func (s Stats) Add(t Stats) Stats {
	return Stats{
		s.KernelSentPackets + t.KernelSentPackets, s.KernelSentBytes + t.KernelSentBytes,
		s.NetRcvdPackets + t.NetRcvdPackets, s.NetRcvdBytes + t.NetRcvdBytes,
		s.NetSentPackets + t.NetSentPackets, s.NetSentBytes + t.NetSentBytes,
	}
}

// firstStat is the beginning of every stats server's reply, also of upstream's.
const firstStat = "KERNEL_SENT_PKTS"

// String returns the reply of the stats server: six lines, in upstream's order.
func (s Stats) String() string {
	var b strings.Builder
	for _, line := range []struct {
		name string
		n    uint64
	}{
		{firstStat, s.KernelSentPackets}, {"KERNEL_SENT_BYTES", s.KernelSentBytes},
		{"NET_RCVD_PKTS", s.NetRcvdPackets}, {"NET_RCVD_BYTES", s.NetRcvdBytes},
		{"NET_SENT_PKTS", s.NetSentPackets}, {"NET_SENT_BYTES", s.NetSentBytes},
	} {
		fmt.Fprintf(&b, "%s,%d\n", line.name, line.n)
	}
	return b.String()
}

// Losses counts the sessions, datagrams and requests that were lost, refused or could not be used. Each name says what it counts.
type Losses struct {
	// KernelDropped counts the sessions that the module did not report because its queue was full: the increase of its
	// JSTAT_JOOLD_SSS_ENOSPC since the worker's start.
	KernelDropped uint64 `json:"kernel_dropped_sessions"`
	// NetlinkLost counts the sessions that the module has reported (JSTAT_JOOLD_SSS_SENT) and the worker has not received, because
	// the buffer of the netlink socket overran. It stays 0 with modules before 4.1.12, which do not have that counter.
	NetlinkLost uint64 `json:"netlink_lost_sessions"`
	// NetlinkOverruns counts how often the module's multicasts overran the buffer of the netlink socket (ENOBUFS). Each
	// overrun loses sessions.
	NetlinkOverruns uint64 `json:"netlink_overruns"`
	// NetworkLost counts peers' live datagrams that are missing by their sequence numbers and that no retransmission brought.
	// A full sync brings their sessions.
	NetworkLost uint64 `json:"network_lost_datagrams"`
	// Repaired counts peers' live datagrams that were missing and whose sessions arrived later, in a retransmission or in
	// newer datagrams.
	Repaired uint64 `json:"repaired_datagrams"`
	// WrittenOff counts live datagrams of dead hosts that no live peer has received: their sessions are lost.
	WrittenOff uint64 `json:"written_off_datagrams"`
	// FoundLate counts sessions that this host lacked without knowing it: only a larger table of a peer, or a verification, has shown it,
	// and a full sync has brought them. With modules from 4.1.12 on there should be none.
	FoundLate uint64 `json:"found_late_sessions"`
	// IgnoredClaims counts claims of peers to have sessions of a dead host that two full syncs in a row from there did not bring.
	IgnoredClaims uint64 `json:"ignored_claims"`
	// SocketDrops counts datagrams that the kernel dropped because the buffer of the network socket was full (SO_RXQ_OVFL).
	SocketDrops uint64 `json:"socket_dropped_datagrams"`
	// Malformed counts datagrams that are neither lists of valid sessions nor valid control messages.
	Malformed uint64 `json:"malformed_datagrams"`
	// Untranslated counts received sessions that the format of this host's module cannot express.
	Untranslated uint64 `json:"untranslated_sessions"`
	// Collisions counts sessions that a full sync brought and the module refused without an error, because their transport
	// address on the IPv4 side is mapped to another IPv6 host here.
	Collisions uint64 `json:"collided_sessions"`
	// NotUnderstood counts control messages and trailers (both begin with 00 00) of a version or type that this software does
	// not know: they come from newer peers.
	NotUnderstood uint64 `json:"not_understood_datagrams"`
	// Forged counts sealed datagrams that are not authentic: an attacker has made or changed them, or their sender has another key of
	// the same ID.
	Forged uint64 `json:"forged_datagrams"`
	// Replayed counts sealed datagrams that arrived before, or that are too old. A network that duplicates datagrams causes them, too.
	Replayed uint64 `json:"replayed_datagrams"`
	// UnknownKey counts datagrams that were sealed with a key that the key file of this host does not have.
	UnknownKey uint64 `json:"unknown_key_datagrams"`
	// Unconfirmed counts authentic datagrams of senders that have not heard this host yet, so that they may be recordings. A few of them
	// arrive whenever a host starts.
	Unconfirmed uint64 `json:"unconfirmed_datagrams"`
	// Throttled counts sealed datagrams of unknown senders that were dropped because too many of them arrived.
	Throttled uint64 `json:"throttled_datagrams"`
	// ClearRefused counts clear datagrams that were dropped because "security" is "require".
	ClearRefused uint64 `json:"refused_clear_datagrams"`
	// Unlisted counts datagrams that were dropped because "peers" does not list the address of their sender.
	Unlisted uint64 `json:"unlisted_datagrams"`
	// KernelErrors counts requests to which the module replied with an error.
	KernelErrors uint64 `json:"kernel_errors"`
	// SendErrors counts datagrams that could not be sent, because the network socket returned an error.
	SendErrors uint64 `json:"unsent_datagrams"`
}

// Stats returns upstream's six counters.
func (c *Counters) Stats() Stats {
	return Stats{
		c.kernelSentPackets.Load(), c.kernelSentBytes.Load(),
		c.netRcvdPackets.Load(), c.netRcvdBytes.Load(),
		c.netSentPackets.Load(), c.netSentBytes.Load(),
	}
}

// Losses returns the counters of losses.
func (c *Counters) Losses() Losses {
	return Losses{
		KernelDropped:   c.kernelDropped.Load(),
		NetlinkLost:     c.netlinkLost.Load(),
		NetworkLost:     c.networkLost.Load(),
		Repaired:        c.networkRepaired.Load(),
		WrittenOff:      c.writtenOff.Load(),
		FoundLate:       c.foundLate.Load(),
		IgnoredClaims:   c.ignoredClaims.Load(),
		NetlinkOverruns: c.netlinkOverruns.Load(),
		SocketDrops:     c.socketDrops.Load(),
		Malformed:       c.malformed.Load(),
		Untranslated:    c.untranslated.Load(),
		Collisions:      c.collisions.Load(),
		NotUnderstood:   c.notUnderstood.Load(),
		Forged:          c.forged.Load(),
		Replayed:        c.replayed.Load(),
		UnknownKey:      c.unknownKey.Load(),
		Unconfirmed:     c.unconfirmed.Load(),
		Throttled:       c.throttled.Load(),
		ClearRefused:    c.clearRefused.Load(),
		Unlisted:        c.unlisted.Load(),
		KernelErrors:    c.kernelErrors.Load(),
		SendErrors:      c.sendErrors.Load(),
	}
}

// Ledger accounts for every session that the worker has received from the module or from peers. For sessions from the module
//
//	Reported - Coalesced + Refreshed = Sent + Unsent
//
// holds whenever no report is being processed. For sessions from peers
//
//	Received + Injected = Ignored + untranslated_sessions of Losses + Given
//
// holds whenever no datagram is being processed and no session is buffered; the left side is larger by the buffered sessions.
type Ledger struct {
	// Reported counts the sessions that the module has reported to this worker.
	Reported uint64 `json:"reported"`
	// Coalesced counts reports that were not sent at once, because only the time left of the session had changed.
	Coalesced uint64 `json:"coalesced"`
	// Refreshed counts coalesced sessions that were sent at the end of their refresh period, with the newest time left.
	Refreshed uint64 `json:"refreshed"`
	// Sent counts the sessions in live datagrams that were sent.
	Sent uint64 `json:"sent"`
	// Unsent counts the sessions in live datagrams for which the network socket returned an error.
	Unsent uint64 `json:"unsent"`
	// Retransmitted counts the sessions that were retransmitted because a peer had missed them.
	Retransmitted uint64 `json:"retransmitted"`
	// Advertised counts the sessions of whole tables that were sent for upstream's joolds.
	Advertised uint64 `json:"advertised"`
	// Received counts the sessions in all received datagrams: live ones, retransmissions (also those that another peer
	// requested) and advertised ones.
	Received uint64 `json:"received"`
	// Translated counts the sessions that arrived in the format of another version of Jool.
	Translated uint64 `json:"translated"`
	// Cut counts the sessions whose time left was reduced to the timeout of this instance.
	Cut uint64 `json:"cut"`
	// Injected counts the sessions that full syncs brought and that were given to the module.
	Injected uint64 `json:"injected"`
	// Ignored counts received sessions that were not given to the module: those of the host's own datagrams, of advertised
	// datagrams (full syncs bring these), of duplicate or late datagrams, and of peers that were removed meanwhile.
	Ignored uint64 `json:"ignored"`
	// Given counts the sessions that were given to the module, in live datagrams and in full syncs.
	Given uint64 `json:"given"`
}

// FullSyncs counts the full syncs that this host received or requested, by their result.
type FullSyncs struct {
	// Stored counts full syncs whose sessions were compared with this host's table, and stored as far as they were missing or older there.
	Stored uint64 `json:"stored"`
	// Unanswered counts full syncs that were requested again and again and that no peer sent.
	Unanswered uint64 `json:"unanswered"`
	// Interrupted counts full syncs whose sender stopped before the end. This host then continues with that peer, or requests the table from another one.
	Interrupted uint64 `json:"interrupted"`
	// TooLarge counts full syncs that were ignored because the peer's table has more sessions than a full sync takes.
	TooLarge uint64 `json:"too_large"`
}

// FullSyncs returns the numbers of full syncs by their result.
func (c *Counters) FullSyncs() FullSyncs {
	return FullSyncs{Stored: c.fullSyncs.Load(), Unanswered: c.unanswered.Load(), Interrupted: c.interrupted.Load(), TooLarge: c.tooLarge.Load()}
}

// LostSessions returns how many sessions did not get to their destination: the module did not report them, they could not be sent,
// or the module could not store them. A full sync may have brought them since.
func (c *Counters) LostSessions() uint64 {
	return c.kernelDropped.Load() + c.netlinkLost.Load() + c.unsent.Load() + c.untranslated.Load() + c.collisions.Load()
}

// Ledger returns the counters of the ledger.
func (c *Counters) Ledger() Ledger {
	return Ledger{
		Reported:      c.reported.Load(),
		Coalesced:     c.coalesced.Load(),
		Refreshed:     c.refreshed.Load(),
		Sent:          c.sentSessions.Load(),
		Unsent:        c.unsent.Load(),
		Retransmitted: c.retransmitted.Load(),
		Advertised:    c.advertised.Load(),
		Received:      c.receivedSessions.Load(),
		Translated:    c.translated.Load(),
		Cut:           c.cut.Load(),
		Injected:      c.injected.Load(),
		Ignored:       c.ignored.Load(),
		Given:         c.given.Load(),
	}
}

// saved returns the pair's counters, keyed by their names in Save's result.
func (c *Counters) saved() map[string]*atomic.Uint64 {
	return map[string]*atomic.Uint64{
		"kernel_sent_packets": &c.kernelSentPackets, "kernel_sent_bytes": &c.kernelSentBytes,
		"net_rcvd_packets": &c.netRcvdPackets, "net_rcvd_bytes": &c.netRcvdBytes,
		"net_sent_packets": &c.netSentPackets, "net_sent_bytes": &c.netSentBytes,
		"netlink_overruns": &c.netlinkOverruns, "socket_drops": &c.socketDrops,
		"malformed": &c.malformed, "not_understood": &c.notUnderstood,
		"forged": &c.forged, "replayed": &c.replayed, "unknown_key": &c.unknownKey,
		"unconfirmed": &c.unconfirmed, "throttled": &c.throttled, "clear_refused": &c.clearRefused, "unlisted": &c.unlisted,
		"kernel_errors": &c.kernelErrors, "send_errors": &c.sendErrors,
		"reported": &c.reported, "coalesced": &c.coalesced, "refreshed": &c.refreshed,
		"sent": &c.sentSessions, "retransmitted": &c.retransmitted,
		"advertised": &c.advertised, "unsent": &c.unsent, "received": &c.receivedSessions,
		"translated": &c.translated, "untranslated": &c.untranslated, "cut": &c.cut,
		"ignored": &c.ignored, "given": &c.given,
		"injected": &c.injected, "collisions": &c.collisions,
		"kernel_dropped": &c.kernelDropped, "netlink_lost": &c.netlinkLost,
		"network_lost": &c.networkLost, "repaired": &c.networkRepaired,
		"written_off": &c.writtenOff, "ignored_claims": &c.ignoredClaims, "found_late": &c.foundLate,
		"full_syncs": &c.fullSyncs, "full_syncs_unanswered": &c.unanswered,
		"full_syncs_interrupted": &c.interrupted, "full_syncs_too_large": &c.tooLarge,
	}
}

// Save returns the counters and the checkpoint for Restore, in this process or the next.
func (c *Counters) Save() map[string]uint64 {
	saved := make(map[string]uint64)
	for name, n := range c.saved() {
		saved[name] = n.Load()
	}
	c.checkpoints.save(saved)
	return saved
}

// Restore sets the counters and the checkpoint to values that Save has returned. It ignores unknown names: these are counters
// of another version of this software.
func (c *Counters) Restore(saved map[string]uint64) {
	for name, n := range c.saved() {
		n.Store(saved[name])
	}
	c.checkpoints.restore(saved)
}
