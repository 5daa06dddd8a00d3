package worker

import (
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"joolctl/configdir"
)

// multicastConn is what both families' sockets are asked for.
type multicastConn interface {
	JoinGroup(*net.Interface, net.Addr) error
	LeaveGroup(*net.Interface, net.Addr) error
	SetMulticastLoopback(bool) error
	SetTTL(int) error
	// SetOut chooses the interface to send through, and has the socket tell
	// which one a datagram came by where that must be looked at.
	SetOut(fd int, spec configdir.Spec, out *net.Interface) error
}

type conn4 struct{ *ipv4.PacketConn }

func (c conn4) SetTTL(ttl int) error { return c.SetMulticastTTL(ttl) }

func (c conn4) SetOut(fd int, spec configdir.Spec, out *net.Interface) error {
	mreq := &unix.IPMreqn{Ifindex: int32(index(out))}
	// Named by an address, it is also the one to send from.
	if a, err := netip.ParseAddr(spec.OutInterface); err == nil && a.Is4() {
		mreq.Address = a.As4()
	}
	return unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, mreq)
}

type conn6 struct{ *ipv6.PacketConn }

func (c conn6) SetTTL(ttl int) error { return c.SetMulticastHopLimit(ttl) }

func (c conn6) SetOut(fd int, _ configdir.Spec, out *net.Interface) error {
	// An IPv6 socket takes what any interface brings for its group; the in pump
	// looks at where it came from.
	if err := c.SetControlMessage(ipv6.FlagInterface, true); err != nil {
		return err
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, index(out))
}
