package worker

import (
	"fmt"
	"strings"
	"sync/atomic"
)

// Counters are a pair's. They only rise, outlive the worker that counts, and
// may be read at any time. All of them are 64 bits wide.
type Counters struct {
	kernelSentPackets, kernelSentBytes atomic.Uint64
	netRcvdPackets, netRcvdBytes       atomic.Uint64
	netSentPackets, netSentBytes       atomic.Uint64

	netlinkOverruns atomic.Uint64
	socketDrops     atomic.Uint64
	malformed       atomic.Uint64
	notUnderstood   atomic.Uint64
	kernelErrors    atomic.Uint64
	sendErrors      atomic.Uint64

	reported, coalesced, refreshed atomic.Uint64
	sentSessions, repeated         atomic.Uint64
	advertised, unsent             atomic.Uint64
	receivedSessions, given        atomic.Uint64
	ignored                        atomic.Uint64
	translated, untranslated, cut  atomic.Uint64
	injected, collisions           atomic.Uint64
	kernelDropped, netlinkLost     atomic.Uint64
	networkLost, networkRepaired   atomic.Uint64
	writtenOff                     atomic.Uint64

	checkpoints checkpoints // those that the next worker of the pair reads
}

// Stats are the six numbers of upstream's stats server. Packets are datagrams,
// or the netlink messages that carry a datagram's sessions; bytes are those of
// sessions only.
type Stats struct {
	KernelSentPackets uint64 `json:"KERNEL_SENT_PKTS"`
	KernelSentBytes   uint64 `json:"KERNEL_SENT_BYTES"`
	NetRcvdPackets    uint64 `json:"NET_RCVD_PKTS"`
	NetRcvdBytes      uint64 `json:"NET_RCVD_BYTES"`
	NetSentPackets    uint64 `json:"NET_SENT_PKTS"`
	NetSentBytes      uint64 `json:"NET_SENT_BYTES"`
}

// Add returns the sum of both.
func (s Stats) Add(t Stats) Stats {
	return Stats{
		s.KernelSentPackets + t.KernelSentPackets, s.KernelSentBytes + t.KernelSentBytes,
		s.NetRcvdPackets + t.NetRcvdPackets, s.NetRcvdBytes + t.NetRcvdBytes,
		s.NetSentPackets + t.NetSentPackets, s.NetSentBytes + t.NetSentBytes,
	}
}

// firstStat begins what a stats server answers, upstream's too.
const firstStat = "KERNEL_SENT_PKTS"

// String returns the six lines of upstream's stats server, in its order.
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

// Losses counts sessions, datagrams and requests that a worker knows to be lost or refused.
type Losses struct {
	// KernelDropped are sessions that the module did not report because too many
	// waited (the rise of its JSTAT_JOOLD_SSS_ENOSPC since the worker's start).
	KernelDropped uint64 `json:"kernel_dropped"`
	// NetlinkLost are the sessions that NetlinkOverruns lost: those that the module counts as reported (JSTAT_JOOLD_SSS_SENT) and
	// the worker has not received. Modules before 4.1.12 do not count them.
	NetlinkLost uint64 `json:"netlink_lost"`
	// NetlinkOverruns is how often the kernel's multicasts overran the netlink
	// socket's buffer (ENOBUFS); each time sessions were lost.
	NetlinkOverruns uint64 `json:"netlink_overruns"`
	// NetworkLost are peers' datagrams that never came, by their sequence, not
	// even when they were asked for. A full sync brings their sessions.
	NetworkLost uint64 `json:"network_lost"`
	// WrittenOff are live datagrams of hosts that are gone, which no peer has: their sessions are lost.
	WrittenOff uint64 `json:"written_off"`
	// SocketDrops are datagrams that overran the network socket's buffer
	// (SO_RXQ_OVFL).
	SocketDrops uint64 `json:"socket_drops"`
	// Malformed are datagrams that hold anything but sessions.
	Malformed uint64 `json:"malformed"`
	// Untranslated are sessions of another Jool version's format that this
	// module has no form for.
	Untranslated uint64 `json:"untranslated"`
	// Collisions are sessions that a full sync brought and the module refused in
	// silence, because their mask belongs to another one here.
	Collisions uint64 `json:"collisions"`
	// NotUnderstood are control messages and trailers of a version that this program does not know.
	NotUnderstood uint64 `json:"not_understood"`
	// KernelErrors are requests that the module answered with an error.
	KernelErrors uint64 `json:"kernel_errors"`
	// SendErrors are datagrams that the network socket would not take.
	SendErrors uint64 `json:"send_errors"`
}

// Stats reads upstream's six counters.
func (c *Counters) Stats() Stats {
	return Stats{
		c.kernelSentPackets.Load(), c.kernelSentBytes.Load(),
		c.netRcvdPackets.Load(), c.netRcvdBytes.Load(),
		c.netSentPackets.Load(), c.netSentBytes.Load(),
	}
}

// Losses reads the rest.
func (c *Counters) Losses() Losses {
	return Losses{
		KernelDropped:   c.kernelDropped.Load(),
		NetlinkLost:     c.netlinkLost.Load(),
		NetworkLost:     c.networkLost.Load(),
		WrittenOff:      c.writtenOff.Load(),
		NetlinkOverruns: c.netlinkOverruns.Load(),
		SocketDrops:     c.socketDrops.Load(),
		Malformed:       c.malformed.Load(),
		Untranslated:    c.untranslated.Load(),
		Collisions:      c.collisions.Load(),
		NotUnderstood:   c.notUnderstood.Load(),
		KernelErrors:    c.kernelErrors.Load(),
		SendErrors:      c.sendErrors.Load(),
	}
}

// Ledger counts sessions that were not lost. On the way out
//
//	Reported - Coalesced + Refreshed = Sent + Unsent
//
// and on the way in, while no sessions are buffered or held,
//
//	Received + Injected = Ignored + Losses.Untranslated + Given
//
// holds whenever the worker handles no report and no datagram.
type Ledger struct {
	// Reported are the sessions that the module has reported to us.
	Reported uint64 `json:"reported"`
	// Coalesced are reports that were not passed on at once, because nothing but
	// the time left had changed; Refreshed those whose session was sent at the
	// end of its period, with the newest time.
	Coalesced uint64 `json:"coalesced"`
	Refreshed uint64 `json:"refreshed"`
	// Sent are sessions in live datagrams; Unsent those in datagrams that the
	// network socket would not take.
	Sent   uint64 `json:"sent"`
	Unsent uint64 `json:"unsent"`
	// Repeated were sent again because a peer had missed them; Advertised are
	// those of a whole table, for upstream's peers.
	Repeated   uint64 `json:"repeated"`
	Advertised uint64 `json:"advertised"`
	// Received are the sessions in all datagrams that were heard: live ones,
	// repeats that somebody else has asked for, and advertised ones.
	Received uint64 `json:"received"`
	// Repaired are peers' datagrams that were missed and came when they were
	// asked for, or whose sessions have come since.
	Repaired uint64 `json:"repaired"`
	// Translated came in another Jool version's format; Cut had more time left
	// than this instance gives.
	Translated uint64 `json:"translated"`
	Cut        uint64 `json:"cut"`
	// Injected were brought by full syncs.
	Injected uint64 `json:"injected"`
	// Ignored were received and are not for the module: the host's own, advertised ones
	// (which full syncs bring), those of datagrams that came too late, twice, or of a peer
	// that was forgotten meanwhile.
	Ignored uint64 `json:"ignored"`
	// Given were given to the module.
	Given uint64 `json:"given"`
}

// Ledger reads the counters of sessions that were not lost.
func (c *Counters) Ledger() Ledger {
	return Ledger{
		Reported:   c.reported.Load(),
		Coalesced:  c.coalesced.Load(),
		Refreshed:  c.refreshed.Load(),
		Sent:       c.sentSessions.Load(),
		Unsent:     c.unsent.Load(),
		Repeated:   c.repeated.Load(),
		Advertised: c.advertised.Load(),
		Received:   c.receivedSessions.Load(),
		Repaired:   c.networkRepaired.Load(),
		Translated: c.translated.Load(),
		Cut:        c.cut.Load(),
		Injected:   c.injected.Load(),
		Ignored:    c.ignored.Load(),
		Given:      c.given.Load(),
	}
}
