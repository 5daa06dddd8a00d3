package worker

import (
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"joolctl/configdir"
)

// multicastConn is the part of ipv4.PacketConn and ipv6.PacketConn that a network socket needs.
type multicastConn interface {
	JoinGroup(*net.Interface, net.Addr) error
	LeaveGroup(*net.Interface, net.Addr) error
	SetMulticastLoopback(bool) error
	SetTTL(int) error
	// SetOut chooses the interface to send through. For IPv6 it also makes the socket return the interface through which a
	// datagram arrived.
	SetOut(fd int, spec configdir.Spec, out *net.Interface) error
}

type conn4 struct{ *ipv4.PacketConn }

func (c conn4) SetTTL(ttl int) error { return c.SetMulticastTTL(ttl) }

func (c conn4) SetOut(fd int, spec configdir.Spec, out *net.Interface) error {
	mreq := &unix.IPMreqn{Ifindex: int32(index(out))}
	// If the configuration names the interface by an address, that address is the source address too.
	if a, err := netip.ParseAddr(spec.OutInterface); err == nil && a.Is4() {
		mreq.Address = a.As4()
	}
	return unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, mreq)
}

type conn6 struct{ *ipv6.PacketConn }

func (c conn6) SetTTL(ttl int) error { return c.SetMulticastHopLimit(ttl) }

func (c conn6) SetOut(fd int, _ configdir.Spec, out *net.Interface) error {
	// An IPv6 socket receives the group's datagrams from every interface on which this host has a member. The worker drops
	// those that arrived on another interface than its own (netSocket.hears).
	if err := c.SetControlMessage(ipv6.FlagInterface, true); err != nil {
		return err
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, index(out))
}
