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

// Sender sends datagrams to one address.
type Sender struct {
	to   unix.RawSockaddrInet6
	tlen uint32
	iov  unix.Iovec
	hdr  unix.Msghdr
}

// NewSender makes a Sender for an address; ifindex is the scope of a
// link-local IPv6 one.
func NewSender(to netip.AddrPort, ifindex int) *Sender {
	s := &Sender{}
	if to.Addr().Is4() {
		s.tlen = unix.SizeofSockaddrInet4
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.to))
		sa.Family, sa.Addr = unix.AF_INET, to.Addr().As4()
	} else {
		s.tlen = unix.SizeofSockaddrInet6
		s.to.Family, s.to.Addr, s.to.Scope_id = unix.AF_INET6, to.Addr().As16(), uint32(ifindex)
	}
	port := (*[2]byte)(unsafe.Pointer(&s.to.Port)) // the same place in both
	port[0], port[1] = byte(to.Port()>>8), byte(to.Port())
	return s
}

// Send sends one datagram. Its errors are those of sendmsg, as a unix.Errno.
func (s *Sender) Send(fd int, b []byte) error {
	s.iov = iovec(b)
	return s.send(fd)
}

func (s *Sender) send(fd int) error {
	s.hdr = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&s.to)), Namelen: s.tlen, Iov: &s.iov}
	s.hdr.SetIovlen(1)
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

// iovec is a piece of memory; an empty one has no address.
func iovec(b []byte) (v unix.Iovec) {
	if len(b) > 0 {
		v.Base = &b[0]
		v.SetLen(len(b))
	}
	return v
}
