package packetio

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Batch collects datagrams, which a Sender then sends with one system call: by 16
// each costs a tenth less processor time than alone, by 2 hardly less (BenchmarkSend).
// So it is for those that are there together, and not worth a wait. Several sockets may
// share one, as long as what it holds is sent before the next begins.
type Batch struct {
	size int
	data []byte
	msgs []mmsghdr
	iovs []unix.Iovec
	n    int
}

// NewBatch makes room for batch datagrams of up to size bytes.
func NewBatch(batch, size int) *Batch {
	return &Batch{
		size: size,
		data: make([]byte, batch*size),
		msgs: make([]mmsghdr, batch),
		iovs: make([]unix.Iovec, batch),
	}
}

// Next is the memory of the next datagram, of length 0, to append to. There must
// be room.
func (b *Batch) Next() []byte {
	at := b.n * b.size
	return b.data[at : at : at+b.size]
}

// Add takes a datagram, which must not change before it is sent; one that has
// outgrown Next's memory is taken too. There must be room.
func (b *Batch) Add(datagram []byte) {
	b.iovs[b.n] = iovec(datagram)
	b.n++
}

// Len is how many datagrams it holds.
func (b *Batch) Len() int { return b.n }

// Full says that there is no room for another.
func (b *Batch) Full() bool { return b.n == len(b.msgs) }

// Datagram returns the i-th.
func (b *Batch) Datagram(i int) []byte { return unsafe.Slice(b.iovs[i].Base, b.iovs[i].Len) }

// Reset forgets them.
func (b *Batch) Reset() {
	clear(b.iovs[:b.n])
	b.n = 0
}

// SendBatch sends a batch's datagrams from the i-th on, in their order, with one
// sendmmsg. It ends before the first that the kernel does not take: sent is how many
// were before that, and the error that one's own if it is 0. So to send all, begin
// behind each that failed anew.
func (s *Sender) SendBatch(fd int, b *Batch, i int) (sent int, err error) {
	if b.n-i == 1 {
		s.iov = b.iovs[i]
		if err := s.send(fd); err != nil {
			return 0, err
		}
		return 1, nil
	}
	msgs := b.msgs[i:b.n]
	for k := range msgs {
		msgs[k].hdr = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&s.to)), Namelen: s.tlen, Iov: &b.iovs[i+k]}
		msgs[k].hdr.SetIovlen(1)
	}
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&msgs[0])),
			uintptr(len(msgs)), unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return 0, errno
		}
		return int(n), nil
	}
}
