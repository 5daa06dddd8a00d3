package doctor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/syncwire"
)

// probe sends a test datagram to a pair's group, on this host only, and receives it on a socket of its own. Workers ignore the datagram.
type probe struct {
	receiver, sender int
	group            unix.Sockaddr
	granted          int // the receive buffer of the receiver, in bytes
}

// openProbe opens both sockets on an interface.
func (s *subject) openProbe(in *net.Interface) (*probe, error) {
	p := &probe{receiver: -1, sender: -1}
	err := s.inNetwork(func() error { return p.open(s, in) })
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *probe) close() {
	for _, fd := range []int{p.receiver, p.sender} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// option is a socket option with a number.
type option struct{ level, name, value int }

func setAll(fd int, options []option) error {
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return err
		}
	}
	return nil
}

func (p *probe) open(s *subject, in *net.Interface) (err error) {
	group, port := s.spec.Group, int(s.spec.Port)
	family := unix.AF_INET6
	sending := []option{
		{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 0}, // it must not leave this host
		{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 1}, {unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, in.Index},
	}
	if group.Is4() {
		family = unix.AF_INET
		sending = []option{{unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, 0}, {unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 1}}
	}
	if p.receiver, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return err
	}
	if p.sender, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return err
	}
	if err := setAll(p.receiver, []option{{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1}}); err != nil {
		return err
	}
	if unix.SetsockoptInt(p.receiver, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, s.spec.ReceiveBuffer) != nil {
		_ = unix.SetsockoptInt(p.receiver, unix.SOL_SOCKET, unix.SO_RCVBUF, s.spec.ReceiveBuffer) // the next call reads the granted size
	}
	doubled, err := unix.GetsockoptInt(p.receiver, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil {
		return err
	}
	p.granted = doubled / 2 // socket(7): the kernel doubles the value
	p.group = address(group, port, in.Index)
	if err := unix.Bind(p.receiver, p.group); err != nil {
		return fmt.Errorf("binding to %v port %d: %w", group, port, err)
	}
	if group.Is4() {
		mreq := &unix.IPMreqn{Multiaddr: group.As4(), Ifindex: int32(in.Index)}
		err = errors.Join(unix.SetsockoptIPMreqn(p.receiver, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, mreq),
			unix.SetsockoptIPMreqn(p.sender, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &unix.IPMreqn{Ifindex: int32(in.Index)}))
	} else {
		err = unix.SetsockoptIPv6Mreq(p.receiver, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, &unix.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(in.Index)})
	}
	if err != nil {
		return fmt.Errorf("joining %v on %s: %w", group, in.Name, err)
	}
	return setAll(p.sender, sending)
}

// address returns the socket address of a group. The zone matters for link-local groups only.
func address(group netip.Addr, port, zone int) unix.Sockaddr {
	if group.Is4() {
		return &unix.SockaddrInet4{Port: port, Addr: group.As4()}
	}
	return &unix.SockaddrInet6{Port: port, Addr: group.As16(), ZoneId: uint32(zone)}
}

// send sends a test datagram, and reports whether it arrives within a time.
func (p *probe) send(patience time.Duration) (arrived bool, err error) {
	if err := unix.Sendto(p.sender, syncwire.AppendTest(nil), 0, p.group); err != nil {
		return false, err
	}
	deadline := time.Now().Add(patience)
	buf := make([]byte, 2048)
	for left := patience; left > 0; left = time.Until(deadline) {
		fds := []unix.PollFd{{Fd: int32(p.receiver), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds, int(left.Milliseconds())+1); err != nil || n == 0 {
			continue // EINTR, or the time is over
		}
		n, _, err := unix.Recvfrom(p.receiver, buf, unix.MSG_DONTWAIT)
		if err == nil && syncwire.IsTest(buf[:n]) {
			return true, nil
		}
	}
	return false, nil
}

func nativeUint32(b [4]byte) uint32 { return binary.NativeEndian.Uint32(b[:]) }
