// Package packetio sends and receives many packets with one system call and without allocation: recvmmsg and
// sendmmsg for datagrams, a gathering sendmsg for netlink.
//
// Its descriptors are non-blocking; a call that would block returns EAGAIN. The system calls end within
// microseconds, so they are raw ones, without notice to Go's scheduler. The exception is Gather.Send, because
// its receiver may be a kernel module that handles the message inside the call and takes longer.
package packetio

import (
	"encoding/binary"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is the kernel's struct mmsghdr on 64-bit machines.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   [4]byte
}

// controlLen has room for SO_RXQ_OVFL, SO_TIMESTAMPNS and IP_PKTINFO or IPV6_PKTINFO.
const controlLen = 128

// Receiver has the buffers for recvmmsg. Several sockets may share a Receiver, if one goroutine reads them all
// and has handled each batch before it reads the next.
type Receiver struct {
	size     int
	data     []byte
	msgs     []mmsghdr
	iovs     []unix.Iovec
	names    []unix.RawSockaddrInet6 // has room for a RawSockaddrInet4 too
	controls [][controlLen]byte
}

// NewReceiver returns a Receiver with room for batch datagrams of up to size bytes.
func NewReceiver(batch, size int) *Receiver {
	r := &Receiver{
		size:     size,
		data:     make([]byte, batch*size),
		msgs:     make([]mmsghdr, batch),
		iovs:     make([]unix.Iovec, batch),
		names:    make([]unix.RawSockaddrInet6, batch),
		controls: make([][controlLen]byte, batch),
	}
	for i := range r.msgs {
		r.iovs[i].Base = &r.data[i*size]
		r.iovs[i].SetLen(size)
		h := &r.msgs[i].hdr
		h.Iov = &r.iovs[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&r.names[i]))
		h.Control = &r.controls[i][0]
	}
	return r
}

// Batch returns the largest number of datagrams that one Receive reads.
func (r *Receiver) Batch() int { return len(r.msgs) }

// Receive reads the waiting datagrams, at most Batch of them, and returns their number. The error is that of
// recvmmsg, as a unix.Errno.
func (r *Receiver) Receive(fd int) (int, error) {
	for i := range r.msgs {
		h := &r.msgs[i].hdr
		h.Namelen = unix.SizeofSockaddrInet6
		h.SetControllen(controlLen)
		h.Flags = 0
	}
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&r.msgs[0])),
			uintptr(len(r.msgs)), unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return 0, errno
		}
		return int(n), nil
	}
}

// Datagram is one datagram of a batch. Data is valid until the next Receive.
type Datagram struct {
	Data      []byte
	Truncated bool
	From      netip.AddrPort // without a zone
	// Interface is the index of the interface on which the datagram arrived; 0 if the socket has neither
	// IP_PKTINFO nor IPV6_RECVPKTINFO.
	Interface int
	// Drops is the number of datagrams that the socket has dropped up to this one because its receive buffer was
	// full (SO_RXQ_OVFL). It wraps at 32 bits. The kernel leaves it out while it is 0.
	Drops uint32
	// Arrived is the wall-clock time at which the host received the datagram; zero if the socket does not have
	// SO_TIMESTAMPNS. The kernel starts to stamp datagrams a moment after the first socket has set the option;
	// until then Arrived is the time of reading.
	Arrived time.Time
}

// Datagram returns the i-th datagram of the last batch.
func (r *Receiver) Datagram(i int) Datagram {
	h := &r.msgs[i].hdr
	d := Datagram{
		Data:      r.data[i*r.size : i*r.size+min(int(r.msgs[i].n), r.size)],
		Truncated: h.Flags&unix.MSG_TRUNC != 0,
	}
	name := &r.names[i]
	port := (*[2]byte)(unsafe.Pointer(&name.Port))
	switch {
	case h.Namelen >= unix.SizeofSockaddrInet4 && name.Family == unix.AF_INET:
		addr := (*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr
		d.From = netip.AddrPortFrom(netip.AddrFrom4(addr), binary.BigEndian.Uint16(port[:]))
	case h.Namelen >= unix.SizeofSockaddrInet6 && name.Family == unix.AF_INET6:
		d.From = netip.AddrPortFrom(netip.AddrFrom16(name.Addr), binary.BigEndian.Uint16(port[:]))
	}
	d.readControl(r.controls[i][:min(int(h.Controllen), controlLen)])
	return d
}

// readControl sets the fields that come from a datagram's control messages.
func (d *Datagram) readControl(b []byte) {
	for len(b) >= unix.SizeofCmsghdr {
		n := int(binary.NativeEndian.Uint64(b))
		level, typ := int(int32(binary.NativeEndian.Uint32(b[8:]))), int(int32(binary.NativeEndian.Uint32(b[12:])))
		if n < unix.SizeofCmsghdr || n > len(b) {
			return
		}
		p := b[unix.SizeofCmsghdr:n]
		switch {
		case level == unix.SOL_SOCKET && typ == unix.SO_RXQ_OVFL && len(p) >= 4:
			d.Drops = binary.NativeEndian.Uint32(p)
		case level == unix.SOL_SOCKET && typ == unix.SCM_TIMESTAMPNS && len(p) >= 16:
			d.Arrived = time.Unix(int64(binary.NativeEndian.Uint64(p)), int64(binary.NativeEndian.Uint64(p[8:])))
		case level == unix.IPPROTO_IP && typ == unix.IP_PKTINFO && len(p) >= unix.SizeofInet4Pktinfo:
			d.Interface = int(binary.NativeEndian.Uint32(p))
		case level == unix.IPPROTO_IPV6 && typ == unix.IPV6_PKTINFO && len(p) >= unix.SizeofInet6Pktinfo:
			d.Interface = int(binary.NativeEndian.Uint32(p[16:]))
		}
		b = b[min((n+7)&^7, len(b)):]
	}
}
