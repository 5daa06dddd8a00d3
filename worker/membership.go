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

// set applies the options that may change while the socket is open: reuseaddr, buffers, membership, ttl and output interface.
// It must be called on the thread of the socket's namespace. On an error it restores the previous membership.
func (s *netSocket) set(spec configdir.Spec, in, out *net.Interface) error {
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, b2i(spec.ReuseAddr)); err != nil {
		return fmt.Errorf("setting SO_REUSEADDR: %w", err)
	}
	if err := forceBuffers(s.fd, spec.ReceiveBuffer); err != nil {
		return fmt.Errorf("setting the buffers: %w", err)
	}
	if spec.Unicast() {
		return s.setUnicast(spec, in, out)
	}
	sendBy := out
	if out == nil && needsInterface(spec.Group) {
		sendBy = in
	}
	err := s.withConn(spec, func(c multicastConn) error {
		undo, settle, err := s.join(c, spec, in)
		if err != nil {
			return err
		}
		if err := s.setSending(c, spec, sendBy); err != nil {
			undo()
			return err
		}
		settle()
		return nil
	})
	if err != nil {
		return err
	}
	s.in, s.out, s.only = index(in), index(out), index(in)
	s.listed = spec.Peers
	s.sender = packetio.NewSender(netip.AddrPortFrom(spec.Group, spec.Port), index(sendBy))
	return nil
}

// join makes the socket a member of the group on an interface. The caller must then call either undo, which restores the
// previous membership, or settle, which ends it.
func (s *netSocket) join(c multicastConn, spec configdir.Spec, in *net.Interface) (undo, settle func(), err error) {
	group := &net.UDPAddr{IP: spec.Group.AsSlice()}
	first, was, now := s.sender == nil, &net.Interface{Index: s.in}, &net.Interface{Index: index(in)}
	nothing := func() {}
	if !first && was.Index == now.Index {
		return nothing, nothing, nil
	}
	undo, settle = nothing, nothing
	if !first {
		undo = func() { _ = c.LeaveGroup(now, group) }
		// This fails if the old interface was deleted: then the membership has ended already.
		settle = func() { _ = c.LeaveGroup(was, group) }
	}
	if !first && (was.Index == 0 || now.Index == 0) {
		// Leaving the group on an interface that the kernel chose ends whichever membership the kernel finds first. So the
		// socket leaves the old interface before it joins on the new one.
		leaveNew := undo
		settle()
		undo = func() {
			leaveNew()
			_ = c.JoinGroup(was, group)
		}
		settle = nothing
	}
	if err := joined(c.JoinGroup(in, group), spec); err != nil {
		undo()
		return nil, nil, err
	}
	return undo, settle, nil
}

// setSending sets the options for sending.
func (s *netSocket) setSending(c multicastConn, spec configdir.Spec, out *net.Interface) error {
	if err := c.SetTTL(spec.TTL); err != nil {
		return fmt.Errorf("ttl %d: %w", spec.TTL, err)
	}
	if err := c.SetMulticastLoopback(false); err != nil {
		return fmt.Errorf("switching the multicast loopback off: %w", err)
	}
	if err := c.SetOut(s.fd, spec, out); err != nil {
		return fmt.Errorf("out interface %q: %w", spec.OutInterface, err)
	}
	return nil
}

// withConn calls use with the socket as a connection of golang.org/x/net. The connection has a duplicate of the descriptor,
// which withConn closes at the end: while it is open, each datagram also wakes Go's network poller.
func (s *netSocket) withConn(spec configdir.Spec, use func(multicastConn) error) error {
	fd, err := unix.FcntlInt(uintptr(s.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("copying the descriptor: %w", err)
	}
	f := os.NewFile(uintptr(fd), "network socket")
	defer f.Close()
	c, err := net.FilePacketConn(f)
	if err != nil {
		return err
	}
	defer c.Close()
	if spec.Group.Is4() {
		return use(conn4{ipv4.NewPacketConn(c)})
	}
	return use(conn6{ipv6.NewPacketConn(c)})
}

// joined explains an error of joining the group. It returns a *Missing if a route or the interface does not exist.
func joined(err error, spec configdir.Spec) error {
	if err == nil {
		return nil
	}
	if spec.InInterface == "" && (errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EADDRNOTAVAIL)) {
		return &Missing{
			What: fmt.Sprintf("there is no route to %v %s, and netsocket names no \"in interface\"", spec.Group, inNamespace(spec.NetNamespace)),
			Fix:  inside(spec.NetNamespace, fmt.Sprintf("ip route add %v dev …", spec.Group)),
			Err:  err,
		}
	}
	if errors.Is(err, unix.ENODEV) {
		return &Missing{
			What: fmt.Sprintf("in interface %q has just been deleted %s", spec.InInterface, inNamespace(spec.NetNamespace)),
			Fix:  inside(spec.NetNamespace, fmt.Sprintf("ip link add %s …", spec.InInterface)),
			Err:  err,
		}
	}
	return fmt.Errorf("joining the group: %w", err)
}

// needsInterface reports whether the scope of the group's address is one link or one interface, so that the address needs a
// zone.
func needsInterface(group netip.Addr) bool {
	return group.Is6() && (group.IsLinkLocalMulticast() || group.IsInterfaceLocalMulticast())
}
