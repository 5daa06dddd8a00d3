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

	reported, coalesced, sentSessions atomic.Uint64
	translated, untranslated, cut     atomic.Uint64
	injected, collisions              atomic.Uint64
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

// String is what the stats server answers: upstream's six lines in its order.
func (s Stats) String() string {
	var b strings.Builder
	for _, line := range []struct {
		name string
		n    uint64
	}{
		{"KERNEL_SENT_PKTS", s.KernelSentPackets}, {"KERNEL_SENT_BYTES", s.KernelSentBytes},
		{"NET_RCVD_PKTS", s.NetRcvdPackets}, {"NET_RCVD_BYTES", s.NetRcvdBytes},
		{"NET_SENT_PKTS", s.NetSentPackets}, {"NET_SENT_BYTES", s.NetSentBytes},
	} {
		fmt.Fprintf(&b, "%s,%d\n", line.name, line.n)
	}
	return b.String()
}

// Losses are what a worker knows to have gone missing, or to have been kept
// from where it was going.
type Losses struct {
	// NetlinkOverruns is how often the kernel's multicasts overran the netlink
	// socket's buffer (ENOBUFS); each time sessions were lost.
	NetlinkOverruns uint64 `json:"netlink_overruns"`
	// SocketDrops are datagrams that overran the network socket's buffer
	// (SO_RXQ_OVFL).
	SocketDrops uint64 `json:"socket_drops"`
	// Malformed are datagrams that hold anything but sessions.
	Malformed uint64 `json:"malformed"`
	// Untranslated are sessions of another Jool version's format that this
	// module has no form for.
	Untranslated uint64 `json:"untranslated"`
	// Collisions are sessions that a resync brought and the module refused in
	// silence, because their mask belongs to another one here.
	Collisions uint64 `json:"collisions"`
	// NotUnderstood are datagrams, and bytes behind a datagram's sessions, that
	// begin with 00 00: what a newer peer has to say.
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
