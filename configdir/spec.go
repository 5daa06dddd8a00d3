// Package configdir reads a directory of netsocket/modsocket pairs into validated specs, and reports all
// problems of a file with their places.
//
// The files are those of upstream's joold (see docs/configuration.md). Upstream ignores the keys that it does
// not know, so one pair serves both programs.
package configdir

import (
	"net/netip"
	"time"

	"joolctl/seal"
)

// Spec is the configuration in one pair of files: one Jool instance, whose sessions are synchronised over one
// multicast group, or by unicast with its peers. All fields are comparable: two specs are == if their files have
// the same meaning, even in a different layout. (Only namespaces are spelled as in the files; Conflicts knows
// their equivalent spellings.)
type Spec struct {
	// Name is the pair's name: the common part of both file names, or the directory's name.
	Name string

	// Group is the group to which sessions are sent and from which they are received: an IPv4 or IPv6 multicast
	// address, never IPv4-mapped, without a zone. Port is its UDP port. Without a Group, datagrams go to each of
	// the Peers, and Port is the port of this host.
	Group netip.Addr
	Port  uint16
	// Peers are the hosts whose datagrams are accepted; none: all hosts. All have the same address family. With
	// a Group their ports are 0.
	Peers Peers
	// InInterface and OutInterface are the name of an interface or one of its addresses (in netip.Addr's
	// spelling, without a zone); empty: the kernel chooses.
	InInterface  string
	OutInterface string
	// ReuseAddr sets SO_REUSEADDR before bind.
	ReuseAddr bool
	// TTL is the IPv4 TTL or IPv6 hop limit, 0 to 255.
	TTL int
	// MTU is the length in bytes of the longest IP packet to send; 0: the MTU of the output interface, at most
	// 1500.
	MTU int
	// ReceiveBuffer is the argument of SO_RCVBUFFORCE for the network and the netlink socket, in bytes.
	ReceiveBuffer int
	// RefreshPeriod is the minimum time between two datagrams with a session of which only the time left has
	// changed; 0: each report is sent.
	RefreshPeriod time.Duration
	// VerifyPeriod is the time between two comparisons of the whole table with that of a peer; 0: a comparison
	// takes place only when sessions seem to be missing.
	VerifyPeriod time.Duration
	// AdvertiseRate is the number of sessions per second that "joolctl advertise" sends to upstream's peers.
	AdvertiseRate int
	// Sequence adds a trailer to datagrams, and exchanges control messages with peers that do the same. Without
	// it the host sends only the bytes that upstream sends.
	Sequence bool
	// KeyFile is the path of the file with Keys; empty: there is none.
	KeyFile string
	// Keys seal and open datagrams. There is at least one key if KeyFile is not empty.
	Keys seal.Keys
	// Security is which datagrams are sealed.
	Security Security
	// NetNamespace is the namespace of the network socket, as in Namespace. It is equal to Namespace if the
	// netsocket file names none.
	NetNamespace string

	// Instance is the name of the Jool instance, 1 to 15 bytes.
	Instance string
	// Namespace is the namespace of the instance: a name under /run/netns, an absolute path, or empty for the
	// namespace in which the program runs.
	Namespace string
	// EnableSS turns the instance's ss-enabled on if it is off.
	EnableSS bool
	// TuneSS changes the instance's ss-* settings that have the module's default values, so that the module
	// reports new sessions within milliseconds.
	TuneSS bool

	// StatsPort is the UDP port of the stats server; 0: none.
	StatsPort uint16
	// StatsAddress is the address of the stats server; the zero Addr: both loopback addresses.
	StatsAddress netip.Addr
}
