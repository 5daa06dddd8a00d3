package worker

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"joolctl/configdir"
	"joolctl/packetio"
)

// sendBuffer is room for what a slow link holds up, in bytes: with less of it
// a burst would be refused, and lost.
const sendBuffer = 4 << 20

// netSocket is a pair's UDP socket: bound to the group, so that it hears
// nothing else, and a member of it on one interface.
type netSocket struct {
	fd      int
	in, out int // interface indices; 0: the kernel's choice
	sender  *packetio.Sender
}

// openNetSocket opens it in the calling thread's namespace, the spec's.
func openNetSocket(spec configdir.Spec) (*netSocket, error) {
	in, err := findInterface(spec.InInterface, "in interface", spec.NetNamespace)
	if err != nil {
		return nil, err
	}
	out, err := findInterface(spec.OutInterface, "out interface", spec.NetNamespace)
	if err != nil {
		return nil, err
	}
	family := unix.AF_INET6
	if spec.Group.Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the network socket %s: %w", inNamespace(spec.NetNamespace), err)
	}
	s := &netSocket{fd: fd, in: index(in), out: index(out)}
	if err := s.setUp(spec, in, out); err != nil {
		s.close()
		return nil, err
	}
	s.sender = packetio.NewSender(netip.AddrPortFrom(spec.Group, spec.Port), s.out)
	return s, nil
}

func (s *netSocket) close() { unix.Close(s.fd) }

func index(ifi *net.Interface) int {
	if ifi == nil {
		return 0
	}
	return ifi.Index
}

// setUp takes the socket from its opening to its membership. Before it is bound
// it is told to hear its own memberships only, not the whole host's.
func (s *netSocket) setUp(spec configdir.Spec, in, out *net.Interface) error {
	where := inNamespace(spec.NetNamespace)
	fail := func(what string, err error) error {
		return fmt.Errorf("network socket for %v port %d %s: %s: %w", spec.Group, spec.Port, where, what, err)
	}
	level, all := unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL
	if spec.Group.Is4() {
		level, all = unix.IPPROTO_IP, unix.IP_MULTICAST_ALL
	}
	opts := []struct {
		level, opt, val int
		what            string
	}{
		{unix.SOL_SOCKET, unix.SO_REUSEADDR, b2i(spec.ReuseAddr), "SO_REUSEADDR"},
		{unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1, "SO_RXQ_OVFL"},
		{level, all, 0, "MULTICAST_ALL"},
	}
	if !spec.Group.Is4() {
		opts = append(opts, struct {
			level, opt, val int
			what            string
		}{level, unix.IPV6_V6ONLY, 1, "IPV6_V6ONLY"})
	}
	for _, o := range opts {
		if err := unix.SetsockoptInt(s.fd, o.level, o.opt, o.val); err != nil {
			return fail("setting "+o.what, err)
		}
	}
	if err := forceBuffers(s.fd, spec.ReceiveBuffer); err != nil {
		return fail("setting the buffers", err)
	}
	if err := unix.Bind(s.fd, groupAddress(spec, s.in)); err != nil {
		if errors.Is(err, unix.EADDRINUSE) {
			return fail("bind", fmt.Errorf("%w: another program has it and one of the two has no \"reuseaddr\": 1", err))
		}
		return fail("bind", err)
	}
	return s.withConn(func(c net.PacketConn) error {
		if spec.Group.Is4() {
			return s.join4(ipv4.NewPacketConn(c), spec, in, out, fail)
		}
		return s.join6(ipv6.NewPacketConn(c), spec, in, out, fail)
	})
}

// withConn lends the socket to x/net as a connection of Go's. It is a copy of
// the descriptor and gone at the end: as long as it lived, each datagram would
// wake Go's poller too.
func (s *netSocket) withConn(use func(net.PacketConn) error) error {
	fd, err := unix.FcntlInt(uintptr(s.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("copying a socket's descriptor: %w", err)
	}
	f := os.NewFile(uintptr(fd), "network socket")
	defer f.Close()
	c, err := net.FilePacketConn(f)
	if err != nil {
		return err
	}
	defer c.Close()
	return use(c)
}

func (s *netSocket) join4(c *ipv4.PacketConn, spec configdir.Spec, in, out *net.Interface, fail func(string, error) error) error {
	if err := c.SetMulticastTTL(spec.TTL); err != nil {
		return fail("ttl", err)
	}
	if err := c.SetMulticastLoopback(false); err != nil {
		return fail("IP_MULTICAST_LOOP", err)
	}
	if out != nil {
		mreq := &unix.IPMreqn{Ifindex: int32(out.Index)}
		// Named by an address, it is also the one to send from.
		if a, err := netip.ParseAddr(spec.OutInterface); err == nil && a.Is4() {
			mreq.Address = a.As4()
		}
		if err := unix.SetsockoptIPMreqn(s.fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, mreq); err != nil {
			return fail("out interface "+spec.OutInterface, err)
		}
	}
	return joined(c.JoinGroup(in, &net.UDPAddr{IP: spec.Group.AsSlice()}), spec, fail)
}

func (s *netSocket) join6(c *ipv6.PacketConn, spec configdir.Spec, in, out *net.Interface, fail func(string, error) error) error {
	if err := c.SetMulticastHopLimit(spec.TTL); err != nil {
		return fail("ttl", err)
	}
	if err := c.SetMulticastLoopback(false); err != nil {
		return fail("IPV6_MULTICAST_LOOP", err)
	}
	// An IPv6 socket takes what any interface brings for its group; the in pump
	// looks at where it came from.
	if err := c.SetControlMessage(ipv6.FlagInterface, true); err != nil {
		return fail("IPV6_RECVPKTINFO", err)
	}
	if out != nil {
		if err := c.SetMulticastInterface(out); err != nil {
			return fail("out interface "+spec.OutInterface, err)
		}
	}
	return joined(c.JoinGroup(in, &net.UDPAddr{IP: spec.Group.AsSlice()}), spec, fail)
}

// joined sorts what joining a group can fail with.
func joined(err error, spec configdir.Spec, fail func(string, error) error) error {
	if err == nil {
		return nil
	}
	if spec.InInterface == "" && (errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EADDRNOTAVAIL)) {
		return &Missing{
			What: fmt.Sprintf("no interface leads to %v %s, and netsocket names no \"in interface\"", spec.Group, inNamespace(spec.NetNamespace)),
			Fix:  inside(spec.NetNamespace, fmt.Sprintf("ip route add %v dev …", spec.Group)),
			Err:  err,
		}
	}
	if errors.Is(err, unix.ENODEV) {
		return &Missing{What: fmt.Sprintf("in interface %q has just gone %s", spec.InInterface, inNamespace(spec.NetNamespace)), Err: err}
	}
	return fail("joining the group", err)
}

// forceBuffers sets the buffers past the system's limits where the process may.
func forceBuffers(fd, receive int) error {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receive) != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receive); err != nil {
			return err
		}
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer) != nil {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
	}
	return nil
}

func groupAddress(spec configdir.Spec, in int) unix.Sockaddr {
	if spec.Group.Is4() {
		return &unix.SockaddrInet4{Port: int(spec.Port), Addr: spec.Group.As4()}
	}
	sa := &unix.SockaddrInet6{Port: int(spec.Port), Addr: spec.Group.As16()}
	if spec.Group.IsLinkLocalMulticast() || spec.Group.IsInterfaceLocalMulticast() {
		sa.ZoneId = uint32(in)
	}
	return sa
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// interfacesStay says whether the interfaces are still the ones that the socket
// was set up for: one that was made anew has another index, and no member. To
// be called in the socket's namespace.
func (s *netSocket) interfacesStay(in, out, ns string) error {
	for _, i := range []struct {
		key, name string
		index     int
	}{{"in interface", in, s.in}, {"out interface", out, s.out}} {
		now, err := findInterface(i.name, i.key, ns)
		if err != nil {
			return err
		}
		if index(now) != i.index {
			return &Missing{What: fmt.Sprintf("%s %q was made anew %s", i.key, i.name, inNamespace(ns))}
		}
	}
	return nil
}
