package packetio

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Gather collects the pieces of one message, which is then sent with a single
// sendmsg. The pieces must not change before that.
type Gather struct {
	iovs []unix.Iovec
	hdr  unix.Msghdr
	len  int
}

// NewGather makes room for pieces pieces.
func NewGather(pieces int) *Gather { return &Gather{iovs: make([]unix.Iovec, 0, pieces)} }

// Add appends a piece; an empty one is nothing.
func (g *Gather) Add(b []byte) {
	if len(b) == 0 {
		return
	}
	g.iovs = append(g.iovs, iovec(b))
	g.len += len(b)
}

// Pieces is how many pieces there are, and Piece the i-th.
func (g *Gather) Pieces() int { return len(g.iovs) }

func (g *Gather) Piece(i int) []byte { return unsafe.Slice(g.iovs[i].Base, g.iovs[i].Len) }

// Len is the length of the message so far.
func (g *Gather) Len() int { return g.len }

// Reset forgets the pieces.
func (g *Gather) Reset() {
	clear(g.iovs)
	g.iovs, g.len = g.iovs[:0], 0
}

// Send sends the message by a socket that knows where to. It blocks only as
// long as the receiver takes to handle it, if that is the kernel itself.
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

// Set is a set of a Sender's destinations: bit i stands for the i-th.
type Set uint32

// All is the set of all destinations.
const All = ^Set(0)

// Has reports whether the i-th destination is in the set.
func (t Set) Has(i int) bool { return t>>i&1 != 0 }

// MaxDestinations is how many destinations a Set has room for.
const MaxDestinations = 32

// Sender sends datagrams to its destinations.
type Sender struct {
	to      []destination
	control []byte // has the source address; empty: the kernel chooses it
	iov     unix.Iovec
	hdr     unix.Msghdr
}

// destination is an address as the kernel wants it.
type destination struct {
	address unix.RawSockaddrInet6 // large enough for an IPv4 one
	len     uint32
}

// NewSender makes a Sender with one destination; ifindex is the scope of a
// link-local IPv6 one.
func NewSender(to netip.AddrPort, ifindex int) *Sender {
	return NewSenderTo([]netip.AddrPort{to}, ifindex, netip.Addr{})
}

// NewSenderTo makes a Sender with 1 to MaxDestinations destinations of one family. source is the address that datagrams
// come from; the zero Addr leaves the choice to the kernel.
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

// control is a control message.
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
	port := (*[2]byte)(unsafe.Pointer(&d.address.Port)) // the same place in both
	port[0], port[1] = byte(to.Port()>>8), byte(to.Port())
}

// Destinations is how many destinations there are.
func (s *Sender) Destinations() int { return len(s.to) }

// Send sends one datagram to the first destination. Its errors are those of sendmsg, as a unix.Errno.
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

// header fills in the header of a datagram for a destination.
func (s *Sender) header(h *unix.Msghdr, to int, iov *unix.Iovec) {
	*h = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&s.to[to].address)), Namelen: s.to[to].len, Iov: iov}
	h.SetIovlen(1)
	if len(s.control) > 0 {
		h.Control = &s.control[0]
		h.SetControllen(len(s.control))
	}
}

// iovec is a piece of memory; an empty one has no address.
func iovec(b []byte) (v unix.Iovec) {
	if len(b) > 0 {
		v.Base = &b[0]
		v.SetLen(len(b))
	}
	return v
}
