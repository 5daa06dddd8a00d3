package joolnl

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"joolctl/packetio"
)

// Errors of Dial, beside those of the operating system.
var (
	// ErrNoModule is returned if no NAT64 Jool is loaded.
	ErrNoModule = errors.New("the kernel module jool is not loaded")
	// ErrNoVersion is returned if the module is loaded, but reports no version.
	ErrNoVersion = errors.New("the version of the kernel module jool is unknown")
)

// Conn is a connection to one Jool instance. It has two sockets: the receiving one receives the instance's
// multicasts, the asking one sends all requests and receives their replies.
//
// Jool looks for the instance in the namespace of the thread that sends a request. So Dial and every method but
// Close must be called on a thread inside the instance's namespace, and not by two goroutines at once.
type Conn struct {
	Requests
	// Group is the number of the multicast group that the receiving socket joins.
	Group           uint32
	receiver, asker int
	seq             uint32
	acks            []byte // MaxAcks complete JOOLD_ACKs, apart from their sequence numbers
	request         []byte // reused buffer for requests

	// OnError, if not nil, receives the errors of requests that the module does not reply to otherwise:
	// JOOLD_ADD and JOOLD_ACK. seq is the request's sequence number; 0: error reports were lost.
	OnError func(seq uint32, err error)
}

// Dial looks up the module's family and opens both sockets in the calling thread's namespace. The receiving
// socket gets a buffer of receiveBuffer bytes, beyond the system's limit if the process has the privilege
// (SO_RCVBUFFORCE). Dial does not check that the instance exists.
func Dial(instance string, receiveBuffer int) (*Conn, error) {
	if err := CheckInstanceName(instance); err != nil {
		return nil, fmt.Errorf("instance %q: %w", instance, err)
	}
	version, err := ModuleVersion()
	if err != nil {
		return nil, err
	}
	if err := version.Supported(); err != nil {
		return nil, err
	}
	family, group, err := resolve()
	if err != nil {
		return nil, err
	}
	receiver, err := open(func(c *netlink.Conn) error {
		if err := c.SetBPF(instanceFilter(instance)); err != nil {
			return fmt.Errorf("filtering for instance %q: %w", instance, err)
		}
		if err := c.SetReadBuffer(receiveBuffer); err != nil {
			return fmt.Errorf("setting the receive buffer to %d: %w", receiveBuffer, err)
		}
		return c.JoinGroup(group)
	})
	if err != nil {
		return nil, err
	}
	asker, err := open(func(*netlink.Conn) error { return nil })
	if err != nil {
		unix.Close(receiver)
		return nil, err
	}
	c := NewConn(Requests{Family: family, Version: version, Instance: instance}, receiver, asker)
	c.Group = group
	return c, nil
}

// Adopt replaces the Conn's receiving socket by another one, for example a socket of the previous process, with
// multicasts in its buffer. It closes the former socket. The new one must belong to the instance's namespace.
// Adopt sets its filter and its group membership again, because memberships end when the module is unloaded. On
// an error the Conn keeps its former socket.
func (c *Conn) Adopt(receiver int) error {
	filter := instanceFilter(c.Instance)
	prog := make([]unix.SockFilter, len(filter))
	for i, f := range filter {
		prog[i] = unix.SockFilter{Code: f.Op, Jt: f.Jt, Jf: f.Jf, K: f.K}
	}
	err := unix.SetsockoptSockFprog(receiver, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]})
	if err != nil {
		return fmt.Errorf("filtering for instance %q: %w", c.Instance, err)
	}
	if err := unix.SetsockoptInt(receiver, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, int(c.Group)); err != nil {
		return fmt.Errorf("joining the multicast group: %w", err)
	}
	unix.Close(c.receiver)
	c.receiver = receiver
	return nil
}

// NewConn returns a Conn that owns two open, non-blocking sockets.
func NewConn(r Requests, receiver, asker int) *Conn {
	c := &Conn{Requests: r, receiver: receiver, asker: asker}
	for range MaxAcks {
		c.acks = r.Ack(c.acks, 0)
	}
	return c
}

// Close closes both sockets.
func (c *Conn) Close() {
	unix.Close(c.receiver)
	unix.Close(c.asker)
}

// Receiver returns the receiving socket, which is readable when multicasts are waiting.
func (c *Conn) Receiver() int { return c.receiver }

// Asker returns the asking socket, which is readable when ReadErrors has errors to read.
func (c *Conn) Asker() int { return c.asker }

// SetReceiveBuffer sets the size in bytes of the receiving socket's buffer, beyond the system's limit if the
// process has the privilege. It may be called from any goroutine.
func (c *Conn) SetReceiveBuffer(bytes int) error {
	if unix.SetsockoptInt(c.receiver, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes) == nil {
		return nil
	}
	if err := unix.SetsockoptInt(c.receiver, unix.SOL_SOCKET, unix.SO_RCVBUF, bytes); err != nil {
		return fmt.Errorf("setting the netlink socket's receive buffer to %d: %w", bytes, err)
	}
	return nil
}

// open creates a netlink socket with the library and returns a duplicate of its descriptor, which Go's poller
// does not watch. Namespace threads wait in an epoll of their own. With Go's poller, each message would wake two
// threads.
func open(setup func(*netlink.Conn) error) (int, error) {
	c, err := netlink.Dial(unix.NETLINK_GENERIC, nil)
	if err != nil {
		return -1, fmt.Errorf("opening a netlink socket: %w", err)
	}
	defer c.Close()
	if err := setup(c); err != nil {
		return -1, err
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd, dupErr := -1, error(nil)
	err = raw.Control(func(old uintptr) { fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	return fd, errors.Join(err, dupErr)
}

// instanceFilter returns a socket filter that accepts the messages with this instance's name, including its NUL.
// The bytes behind the NUL are arbitrary.
func instanceFilter(instance string) []bpf.RawInstruction {
	want := append([]byte(instance), 0)
	var prog []bpf.Instruction
	for i := 0; i < len(want); {
		n := 1
		for _, size := range []int{4, 2} {
			if len(want)-i >= size {
				n = size
				break
			}
		}
		var val uint32
		for _, b := range want[i : i+n] {
			val = val<<8 | uint32(b)
		}
		prog = append(prog, bpf.LoadAbsolute{Off: uint32(inameAt + i), Size: n}, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: val})
		i += n
	}
	drop := len(prog) + 1
	for i := 1; i < len(prog); i += 2 {
		j := prog[i].(bpf.JumpIf)
		j.SkipTrue = uint8(drop - i - 1)
		prog[i] = j
	}
	prog = append(prog, bpf.RetConstant{Val: 1 << 18}, bpf.RetConstant{Val: 0})
	raw, err := bpf.Assemble(prog)
	if err != nil {
		panic(err) // cannot fail: the program is constant but for the name
	}
	return raw
}

// Receive reads as many waiting multicasts as r has room for, and returns their number. The error is EAGAIN if
// none is waiting, and ENOBUFS if the kernel has dropped some because the buffer was full.
func (c *Conn) Receive(r *packetio.Receiver) (int, error) { return r.Receive(c.receiver) }

// Multicast returns the sessions of a multicast, as bytes that point into b, and the version of the module that
// sent it.
func (c *Conn) Multicast(b []byte) (entries []byte, from Version, err error) {
	m, _, err := ParseMulticast(b)
	if err != nil {
		return nil, 0, err
	}
	if m.Type != c.Family {
		return nil, 0, fmt.Errorf("a message of netlink family %d, Jool's is %d", m.Type, c.Family)
	}
	return SessionEntries(m.Attrs), m.Header.Version, nil
}

// MaxAcks is the largest number of JOOLD_ACKs that one SendAcks sends.
const MaxAcks = 8

// SendAcks sends n JOOLD_ACKs, 1 to MaxAcks, with one system call. For each of them, the module multicasts a
// pending packet inside that call if the packet is full or older than ss-flush-deadline. Without such a packet,
// further JOOLD_ACKs have the effect of a single one.
func (c *Conn) SendAcks(n int) error {
	size := len(c.acks) / MaxAcks
	for i := range n {
		binary.NativeEndian.PutUint32(c.acks[i*size+8:], c.nextSeq())
	}
	_, err := writeFD(c.asker, c.acks[:n*size])
	return err
}

// AppendAdd appends the header of a JOOLD_ADD to dst (see Requests.AddHeader), and returns the sequence number
// that an error report about it has.
func (c *Conn) AppendAdd(dst []byte, entriesLen int) ([]byte, uint32) {
	seq := c.nextSeq()
	return c.AddHeader(dst, seq, entriesLen), seq
}

// SendAdds sends a batch of complete JOOLD_ADDs, at most about 200 KiB.
func (c *Conn) SendAdds(batch *packetio.Gather) error { return batch.Send(c.asker) }

// ReadErrors reads the messages that wait on the asking socket, and passes their errors to OnError.
func (c *Conn) ReadErrors() {
	buf := replyBuffers.Get().(*[]byte)
	defer replyBuffers.Put(buf)
	for {
		n, err := readFD(c.asker, *buf)
		if err == unix.ENOBUFS { // at least one error report was lost
			c.report(0, err)
			continue
		}
		if err != nil {
			return
		}
		c.handleUnasked((*buf)[:n])
	}
}

// handleUnasked passes the errors in a datagram of replies to OnError.
func (c *Conn) handleUnasked(b []byte) {
	for len(b) >= unix.NLMSG_HDRLEN {
		m, rest, err := ParseMessage(b)
		if err != nil {
			c.report(m.Seq, err)
		}
		if len(rest) >= len(b) || rest == nil {
			return
		}
		b = rest
	}
}

func (c *Conn) report(seq uint32, err error) {
	if c.OnError != nil {
		c.OnError(seq, err)
	}
}

func readFD(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Read(fd, b)
		if err != unix.EINTR {
			return n, err
		}
	}
}

func writeFD(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Write(fd, b)
		if err != unix.EINTR {
			return n, err
		}
	}
}
