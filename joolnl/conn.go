package joolnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"joolctl/packetio"
	"joolctl/session"
)

// Errors of Dial, beside those of the operating system.
var (
	// ErrNoModule is returned if no NAT64 Jool is loaded.
	ErrNoModule = errors.New("the kernel module jool is not loaded")
	// ErrNoVersion is returned if the module is loaded, but reports no version.
	ErrNoVersion = errors.New("the version of the kernel module jool is unknown")
)

// replyTimeout bounds the wait for a reply. The module replies inside the request's own system call, so in
// practice the wait never gets that long.
const replyTimeout = 2 * time.Second

// largestReply is a buffer size for the largest message that the module sends: a page of 26 nested sessions, or
// of instances.
const largestReply = 32 << 10

var replyBuffers = sync.Pool{New: func() any { b := make([]byte, largestReply); return &b }}

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

// ModuleVersion reads the version of the loaded module from /sys/module/jool/version, or returns ErrNoModule or
// ErrNoVersion.
func ModuleVersion() (Version, error) {
	b, err := os.ReadFile("/sys/module/jool/version")
	if err == nil {
		return ParseVersion(string(b))
	}
	if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
		return 0, err
	}
	if _, err := os.Stat("/sys/module/jool"); err != nil {
		return 0, ErrNoModule
	}
	return 0, ErrNoVersion
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

// resolve asks the generic netlink controller for the numbers of Jool's family and group.
func resolve() (family uint16, group uint32, err error) {
	c, err := genetlink.Dial(nil)
	if err != nil {
		return 0, 0, fmt.Errorf("opening a netlink socket: %w", err)
	}
	defer c.Close()
	f, err := c.GetFamily(FamilyName)
	if errors.Is(err, os.ErrNotExist) {
		return 0, 0, ErrNoModule
	}
	if err != nil {
		return 0, 0, fmt.Errorf("asking for the netlink family %q: %w", FamilyName, err)
	}
	for _, g := range f.Groups {
		if g.Name == GroupName {
			return f.ID, g.ID, nil
		}
	}
	return 0, 0, fmt.Errorf("the netlink family %q has no group %q", FamilyName, GroupName)
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

// ask sends a request and passes its reply to use. The bytes of the reply are invalid when use returns.
func (c *Conn) ask(build func(dst []byte, seq uint32) ([]byte, error), use func(Message) error) error {
	seq := c.nextSeq()
	req, err := build(c.request[:0], seq)
	if err != nil {
		return err
	}
	c.request = req
	if _, err := writeFD(c.asker, req); err != nil {
		return fmt.Errorf("asking Jool: %w", err)
	}
	deadline := time.Now().Add(replyTimeout)
	for {
		found, err := c.readReply(seq, use)
		switch {
		case found:
			return err
		case err == unix.EAGAIN:
			left := time.Until(deadline)
			if left <= 0 {
				return errors.New("asking Jool: no reply")
			}
			fds := []unix.PollFd{{Fd: int32(c.asker), Events: unix.POLLIN}}
			_, _ = unix.Poll(fds, int(left.Milliseconds())+1) // the next read reports an error
		case err == unix.ENOBUFS:
			c.report(0, err)
		case err != nil:
			return fmt.Errorf("asking Jool: %w", err)
		}
	}
}

// readReply reads one datagram, and passes it to use if it is the reply with this sequence number. It does not
// keep a buffer while the caller waits, because hundreds of threads may wait.
func (c *Conn) readReply(seq uint32, use func(Message) error) (found bool, err error) {
	buf := replyBuffers.Get().(*[]byte)
	defer replyBuffers.Put(buf)
	n, err := readFD(c.asker, *buf)
	if err != nil {
		return false, err
	}
	m, _, err := ParseMessage((*buf)[:n])
	if m.Seq != seq { // about an earlier JOOLD_ADD or JOOLD_ACK
		c.handleUnasked((*buf)[:n])
		return false, nil
	}
	if err != nil {
		return true, err
	}
	return true, use(m)
}

func (c *Conn) nextSeq() uint32 {
	c.seq++
	if c.seq == 0 { // 0 is the sequence number of multicasts
		c.seq = 1
	}
	return c.seq
}

// AskHello reports whether the instance exists. An *Error with ENOENT means that the family does not exist any
// longer: the module was unloaded, and perhaps loaded again under another number.
func (c *Conn) AskHello() (alive bool, err error) {
	err = c.ask(func(dst []byte, seq uint32) ([]byte, error) { return c.Hello(dst, seq), nil }, func(m Message) error {
		var err error
		alive, err = ParseHello(m.Attrs)
		return err
	})
	return alive, err
}

// AskGlobals reads the instance's settings.
func (c *Conn) AskGlobals() (g Globals, err error) {
	err = c.ask(func(dst []byte, seq uint32) ([]byte, error) { return c.Globals(dst, seq), nil }, func(m Message) error {
		var err error
		g, err = ParseGlobals(m.Attrs)
		return err
	})
	return g, err
}

// AskStats reads those of the instance's counters that concern sessions.
func (c *Conn) AskStats() (stats Stats, err error) {
	err = c.ask(func(dst []byte, seq uint32) ([]byte, error) { return c.Stats(dst, seq), nil }, func(m Message) error {
		var err error
		stats, err = c.Version.ParseStats(m.Attrs)
		return err
	})
	return stats, err
}

// AskSessions appends a page of a protocol's session table to dst: the sessions that follow after in the
// module's order, or the first page if after is nil. more reports whether further pages follow.
func (c *Conn) AskSessions(dst []session.Session, p session.Proto, after *session.Session) (page []session.Session, more bool, err error) {
	page = dst
	err = c.ask(func(dst []byte, seq uint32) ([]byte, error) { return c.Sessions(dst, seq, p, after) }, func(m Message) error {
		var err error
		page, more, err = ParseSessions(dst, m)
		return err
	})
	return page, more, err
}

// AskRemoveBIB removes a BIB entry and its sessions.
func (c *Conn) AskRemoveBIB(p session.Proto, src4 netip.AddrPort) error {
	return c.ask(func(dst []byte, seq uint32) ([]byte, error) { return c.RemoveBIB(dst, seq, p, src4) }, func(Message) error { return nil })
}

// AskAdvertise makes the module multicast its whole session table.
func (c *Conn) AskAdvertise() error {
	return c.ask(func(dst []byte, seq uint32) ([]byte, error) { return c.Advertise(dst, seq) }, func(Message) error { return nil })
}

// IsNotLoaded reports whether an error of the module means that its NAT64 part is not loaded: "rmmod jool"
// leaves jool_common, which still replies.
func IsNotLoaded(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	return e.Text == "" && e.Code == unix.ENOENT || strings.Contains(e.Text, "modprobed")
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

// IgnoredAll reports whether an error of the module means that it ignored all sessions of a JOOLD_ADD, because the
// instance does not exist, ss-enabled is off, or the module is not loaded. Other errors concern single sessions;
// the module has stored the others.
func IgnoredAll(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Text == "" || IsNotLoaded(err) ||
		strings.Contains(e.Text, "lacks an instance") || strings.Contains(e.Text, "disabled"))
}

// NoMemory reports whether an error of the module means that it had no memory for some sessions of a JOOLD_ADD,
// so that a retry can succeed. After other errors a retry fails too. The module reports EINVAL and names the
// cause only in the text, which is empty if there was no memory for the text either.
func NoMemory(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Code == unix.ENOMEM || e.Code == unix.EINVAL && e.Text == unix.EINVAL.Error() ||
		strings.Contains(e.Text, "unknown error code -12."))
}
