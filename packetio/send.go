package packetio

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Gather collects the parts of one message, which it then sends with a single sendmsg. The parts must not change
// before that.
type Gather struct {
	iovs []unix.Iovec
	hdr  unix.Msghdr
	len  int
}

// NewGather returns a Gather with room for so many parts.
func NewGather(pieces int) *Gather { return &Gather{iovs: make([]unix.Iovec, 0, pieces)} }

// Add appends a part. It ignores an empty one.
func (g *Gather) Add(b []byte) {
	if len(b) == 0 {
		return
	}
	g.iovs = append(g.iovs, iovec(b))
	g.len += len(b)
}

// Pieces returns the number of parts, and Piece the i-th part.
func (g *Gather) Pieces() int { return len(g.iovs) }

func (g *Gather) Piece(i int) []byte { return unsafe.Slice(g.iovs[i].Base, g.iovs[i].Len) }

// Len returns the length of the message so far, in bytes.
func (g *Gather) Len() int { return g.len }

// Reset removes all parts.
func (g *Gather) Reset() {
	clear(g.iovs)
	g.iovs, g.len = g.iovs[:0], 0
}

// Send sends the message on a socket with a default destination: a connected one, or a netlink socket, whose
// default is the kernel. If the receiver is the kernel itself, Send returns when the kernel has handled the
// message. The error is that of sendmsg, as a unix.Errno.
func (g *Gather) Send(fd int) error {
	if len(g.iovs) == 0 {
		return nil
	}
	g.hdr = unix.Msghdr{Iov: &g.iovs[0]}
	g.hdr.SetIovlen(len(g.iovs))
	for {
		_, _, errno := unix.Syscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&g.hdr)), unix.MSG_DONTWAIT)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return errno
		}
		return nil
	}
}

// Set is a set of a Sender's destinations: bit i is the i-th destination.
type Set uint32

// All is the set of all destinations.
const All = ^Set(0)

// Has reports whether the i-th destination is in the set.
func (t Set) Has(i int) bool { return t>>i&1 != 0 }

// Sender sends datagrams to its destinations.
type Sender struct {
	to      []destination
	control []byte // the control message with the source address; empty: the kernel chooses the address
	iov     unix.Iovec
	hdr     unix.Msghdr
}

// destination is a socket address in the kernel's form.
type destination struct {
	address unix.RawSockaddrInet6 // has room for a RawSockaddrInet4 too
	len     uint32
}

// NewSender returns a Sender with one destination. ifindex is the scope of a link-local IPv6 destination.
func NewSender(to netip.AddrPort, ifindex int) *Sender {
	return NewSenderTo([]netip.AddrPort{to}, ifindex, netip.Addr{})
}

// NewSenderTo returns a Sender with 1 to 32 destinations of one address family. source is the
// source address of the datagrams; with the zero Addr, the kernel chooses it.
func NewSenderTo(to []netip.AddrPort, ifindex int, source netip.Addr) *Sender {
	s := &Sender{to: make([]destination, len(to))}
	for i, a := range to {
		s.to[i].set(a, ifindex)
	}
	switch {
	case source.Is4():
		addr := source.As4()
		s.control = control(unix.IPPROTO_IP, unix.IP_PKTINFO, append(append(make([]byte, 4), addr[:]...), 0, 0, 0, 0))
	case source.Is6():
		addr := source.As16()
		s.control = control(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, append(addr[:], 0, 0, 0, 0))
	}
	return s
}

// control returns an encoded control message.
func control(level, typ int32, data []byte) []byte {
	b := make([]byte, unix.CmsgSpace(len(data)))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = level, typ
	h.SetLen(unix.CmsgLen(len(data)))
	copy(b[unix.CmsgLen(0):], data)
	return b
}

func (d *destination) set(to netip.AddrPort, ifindex int) {
	if to.Addr().Is4() {
		d.len = unix.SizeofSockaddrInet4
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(&d.address))
		sa.Family, sa.Addr = unix.AF_INET, to.Addr().As4()
	} else {
		d.len = unix.SizeofSockaddrInet6
		d.address.Family, d.address.Addr, d.address.Scope_id = unix.AF_INET6, to.Addr().As16(), uint32(ifindex)
	}
	port := (*[2]byte)(unsafe.Pointer(&d.address.Port)) // at the same offset in both families
	port[0], port[1] = byte(to.Port()>>8), byte(to.Port())
}

// Destinations returns the number of destinations.
func (s *Sender) Destinations() int { return len(s.to) }

// Send sends one datagram to the first destination. The error is that of sendmsg, as a unix.Errno.
func (s *Sender) Send(fd int, b []byte) error {
	s.iov = iovec(b)
	return s.send(fd, 0)
}

func (s *Sender) send(fd, to int) error {
	s.header(&s.hdr, to, &s.iov)
	for {
		_, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&s.hdr)), unix.MSG_DONTWAIT)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return errno
		}
		return nil
	}
}

// header fills in the message header of a datagram for a destination.
func (s *Sender) header(h *unix.Msghdr, to int, iov *unix.Iovec) {
	*h = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&s.to[to].address)), Namelen: s.to[to].len, Iov: iov}
	h.SetIovlen(1)
	if len(s.control) > 0 {
		h.Control = &s.control[0]
		h.SetControllen(len(s.control))
	}
}

// iovec returns the Iovec of b; that of an empty b has no address.
func iovec(b []byte) (v unix.Iovec) {
	if len(b) > 0 {
		v.Base = &b[0]
		v.SetLen(len(b))
	}
	return v
}
