// Package configdir turns a directory of netsocket/modsocket pairs into
// validated specs, and says of every bad file what is wrong in it, and where.
//
// The files are upstream joold's (see docs/configuration.md); the keys that
// upstream does not know, it ignores, so one pair serves both programs.
package configdir

import (
	"net/netip"
	"time"

	"joolctl/seal"
)

// Spec is what one pair of files asks for: one Jool instance, kept in step
// over one multicast group, or by unicast with its peers. All fields are comparable: specs are == if their
// files mean the same, however they are laid out. (Namespaces alone are kept as
// written; Conflicts knows their other spellings.)
type Spec struct {
	// Name is the pair's: the part of the file names (or the directory) that
	// both files share.
	Name string

	// Group and Port are where sessions are sent to and heard from.
	// Group is a multicast address, IPv4 or IPv6, never IPv4-mapped, no zone.
	// Without a Group, datagrams go to each of the Peers, and Port is the own one.
	Group netip.Addr
	Port  uint16
	// Peers are the hosts whose datagrams are taken; none: everybody's.
	// All are of one family. Beside a Group their ports are 0.
	Peers Peers
	// InInterface and OutInterface are an interface's name or one of its
	// addresses (in netip.Addr's spelling, without a zone); empty leaves the
	// choice to the kernel.
	InInterface  string
	OutInterface string
	// ReuseAddr sets SO_REUSEADDR before bind.
	ReuseAddr bool
	// TTL is the IPv4 TTL or IPv6 hop limit, 0 to 255.
	TTL int
	// MTU is the length of the longest IP packet that is sent, in bytes; 0: the MTU
	// of the output interface, but at most 1500.
	MTU int
	// ReceiveBuffer is SO_RCVBUFFORCE's argument for the network and the
	// netlink socket, in bytes.
	ReceiveBuffer int
	// RefreshPeriod is how often a session that changes nothing but its time left
	// is passed on at most; 0: every time.
	RefreshPeriod time.Duration
	// VerifyPeriod is how often the whole table is compared with a peer's; 0:
	// only when something seems to be missing.
	VerifyPeriod time.Duration
	// AdvertiseRate is how many sessions per second "joolctl advertise" sends to
	// upstream's peers.
	AdvertiseRate int
	// Sequence puts a trailer behind what is sent and exchanges control messages
	// with peers that do so too; without it there are upstream's bytes only.
	Sequence bool
	// KeyFile is the path of the file with Keys; empty if there is none.
	KeyFile string
	// Keys seal and open datagrams. There is at least one if KeyFile is not empty.
	Keys seal.Keys
	// Security says which datagrams are sealed.
	Security Security
	// NetNamespace is where the network socket lives: a namespace as in
	// Namespace. It is equal to Namespace where netsocket names none.
	NetNamespace string

	// Instance is the Jool instance's name, 1 to 15 bytes.
	Instance string
	// Namespace is where the instance lives: a name under /run/netns, an
	// absolute path, or empty for the namespace that the program runs in.
	Namespace string
	// EnableSS turns the instance's ss-enabled on where it is off.
	EnableSS bool
	// TuneSS sets the instance's ss-* settings that still have the module's
	// default values to values that report new sessions within milliseconds.
	TuneSS bool

	// StatsPort is the UDP port of the stats server; 0: none.
	StatsPort uint16
	// StatsAddress is where the stats server listens; the zero Addr: on both
	// loopback addresses.
	StatsAddress netip.Addr
}
