package worker

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/configdir"
	"joolctl/packetio"
)

// setUnicast applies the options that may change while a socket without a group is open. It must be called on the thread of the
// socket's namespace.
func (s *netSocket) setUnicast(spec configdir.Spec, in, out *net.Interface) error {
	opts := []socketOption{
		{unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1, "IPV6_RECVPKTINFO"},
		{unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, spec.TTL, fmt.Sprintf("ttl %d", spec.TTL)},
		{unix.IPPROTO_IPV6, unix.IPV6_UNICAST_IF, networkOrder(index(out)), fmt.Sprintf("out interface %q", spec.OutInterface)},
	}
	if spec.Is4() {
		opts = []socketOption{
			{unix.IPPROTO_IP, unix.IP_PKTINFO, 1, "IP_PKTINFO"},
			{unix.IPPROTO_IP, unix.IP_TTL, spec.TTL, opts[1].name},
			{unix.IPPROTO_IP, unix.IP_UNICAST_IF, networkOrder(index(out)), opts[2].name},
		}
	}
	if err := s.setOptions(opts); err != nil {
		return err
	}
	s.in, s.out, s.only = index(in), index(out), index(in)
	if !spec.Bound().Addr().IsUnspecified() {
		s.only = 0 // a datagram for the address may arrive on any interface
	}
	s.peers, s.listed = slices.Collect(spec.Peers.All()), spec.Peers
	s.sender = packetio.NewSenderTo(s.peers, index(out), sourceOf(spec))
	return nil
}

// networkOrder returns a number in network byte order, as IP_UNICAST_IF and IPV6_UNICAST_IF want an interface's index.
func networkOrder(n int) int {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(n))
	return int(int32(binary.NativeEndian.Uint32(b[:])))
}

// sourceOf returns the source address of datagrams by unicast: "out interface", if it is an address of the peers' family. The zero Addr
// stands for the address that the socket is bound to, or otherwise for the kernel's choice.
func sourceOf(spec configdir.Spec) netip.Addr {
	out, err := netip.ParseAddr(spec.OutInterface)
	if err != nil || out.Is4() != spec.Is4() || !spec.Bound().Addr().IsUnspecified() {
		return netip.Addr{}
	}
	return out
}

// lists reports whether datagrams from an address are taken.
func (s *netSocket) lists(from netip.Addr) bool { return s.listed.Len() == 0 || s.listed.Has(from) }

// count returns how many destinations of the socket are in a set.
func (s *netSocket) count(to packetio.Set) int {
	return bits.OnesCount32(uint32(to) & (1<<s.sender.Destinations() - 1))
}

// unlistedEvery is the shortest time between two changes of SyncState.Unlisted. Any sender can cause them.
const unlistedEvery = time.Second

// unlisted drops a datagram from an address that "peers" does not list.
func (p *pumps) unlisted(from netip.AddrPort, now time.Time) {
	p.w.counters.unlisted.Add(1)
	if now.Sub(p.unlistedAt) < unlistedEvery {
		return
	}
	p.unlistedAt = now
	p.w.change(now, func(s *SyncState) { s.Unlisted, s.UnlistedAt = from.Addr(), now })
	p.w.log.warn("dropped a datagram from an address that \"peers\" does not list; if it is a peer's, list it", "from", from)
}

// relist takes a changed list of peers: those that were removed are not live any more, and those that were added learn that this
// host is there. The others notice nothing.
func (p *pumps) relist(old, spec configdir.Spec, now time.Time) {
	if old.Peers == spec.Peers {
		return
	}
	if spec.Peers.Len() > 0 {
		p.host.Restrict(spec.Peers.Has, now)
	}
	p.w.change(now, func(s *SyncState) {
		if spec.Peers.Len() == 0 || spec.Peers.Has(s.Unlisted) {
			s.Unlisted, s.UnlistedAt = netip.Addr{}, time.Time{}
		}
	})
	for peer := range spec.Peers.All() {
		if !slices.Contains(slices.Collect(old.Peers.All()), peer) {
			p.welcome(now)
			return
		}
	}
}

// welcome tells peers that were added that this host is there, and asks for their HELLOs.
func (p *pumps) welcome(now time.Time) {
	if p.channel != nil {
		p.channel.Hurry(now)
		p.planGreeting(now)
	}
	p.host.Ask(now)
}
