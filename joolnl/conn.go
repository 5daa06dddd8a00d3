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

// Reasons that Dial fails for, beside the system's own.
var (
	// ErrNoModule: no NAT64 Jool is loaded.
	ErrNoModule = errors.New("the kernel module jool is not loaded")
	// ErrNoVersion: it is loaded, and does not say which version it is.
	ErrNoVersion = errors.New("the version of the kernel module jool is unknown")
)

// replyTimeout bounds the wait for a reply. The module answers inside the
// request's own system call, so it is never reached in practice.
const replyTimeout = 2 * time.Second

// largestReply has room for the largest message of the module's: a page of 26
// nested sessions, or of instances.
const largestReply = 32 << 10

var replyBuffers = sync.Pool{New: func() any { b := make([]byte, largestReply); return &b }}

// Conn reaches one Jool instance by two sockets: the receiving one hears its
// multicasts, the asking one sends every request and hears the replies.
//
// Jool judges a request by the namespace of the thread that sends it. So Dial
// and every method but Close must be called on a thread inside the instance's
// namespace, and not by two goroutines at once.
type Conn struct {
	Requests
	// Group is the number of the multicast group that the receiving socket hears.
	Group           uint32
	receiver, asker int
	seq             uint32
	acks            []byte // MaxAcks JOOLD_ACKs, ready but for their numbers
	request         []byte // the memory of the last request

	// OnError, if not nil, gets what the module reports about requests that are
	// not answered otherwise: JOOLD_ADD and JOOLD_ACK.
	OnError func(seq uint32, err error)
}

// ModuleVersion reads the loaded module's version, or returns ErrNoModule or
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

// Dial finds the module and opens both sockets in the calling thread's
// namespace. The receiving one gets a buffer of receiveBuffer bytes, past the
// system's limit where the process may. It does not ask whether the instance
// exists.
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

// Adopt replaces the Conn's receiving socket by another one, for example a socket
// that the previous process has left and in which multicasts wait. It closes the
// Conn's former socket. The new one must belong to the instance's namespace. Adopt
// sets its filter and its membership again, because a family that was registered
// anew has no members. On an error the Conn keeps its former socket.
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

// NewConn makes a Conn of two open, non-blocking sockets, which it owns from
// now on.
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

// Receiver is the descriptor that can be read when a multicast waits.
func (c *Conn) Receiver() int { return c.receiver }

// Asker is the descriptor that can be read when ReadErrors has something to do.
func (c *Conn) Asker() int { return c.asker }

// SetReceiveBuffer sets the receiving socket's buffer, in bytes, past the
// system's limit where the process may. It may be called from anywhere.
func (c *Conn) SetReceiveBuffer(bytes int) error {
	if unix.SetsockoptInt(c.receiver, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes) == nil {
		return nil
	}
	if err := unix.SetsockoptInt(c.receiver, unix.SOL_SOCKET, unix.SO_RCVBUF, bytes); err != nil {
		return fmt.Errorf("setting the netlink socket's receive buffer to %d: %w", bytes, err)
	}
	return nil
}

// resolve asks genetlink's controller for Jool's family and group.
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

// open makes a netlink socket with the library and takes its descriptor out of
// the library's hands, and so out of Go's poller: who waits for it waits with
// an epoll of its own, and a message would wake two threads otherwise.
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

// instanceFilter lets pass what names this instance, its NUL included; what
// stands behind the NUL may be anything.
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
		panic(err) // the program is ours alone
	}
	return raw
}

// Receive takes the multicasts that wait, as many as r has room for, and returns
// their number. EAGAIN says that none waits, ENOBUFS that some were lost.
func (c *Conn) Receive(r *packetio.Receiver) (int, error) { return r.Receive(c.receiver) }

// Multicast returns the sessions' bytes of a multicast, which point into b, and the
// version of the module that sent it.
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

// MaxAcks is how many JOOLD_ACKs SendAcks can send together.
const MaxAcks = 8

// SendAcks sends n JOOLD_ACKs, 1 to MaxAcks, with one system call. The module reports a full packet, or what has waited
// for longer than its deadline, inside that call for each of them, as far as it has some; the others do nothing more
// than one does.
func (c *Conn) SendAcks(n int) error {
	size := len(c.acks) / MaxAcks
	for i := range n {
		binary.NativeEndian.PutUint32(c.acks[i*size+8:], c.nextSeq())
	}
	_, err := writeFD(c.asker, c.acks[:n*size])
	return err
}

// AppendAdd begins a JOOLD_ADD in dst (see Requests.AddHeader) and returns the
// number that an error report about it will have.
func (c *Conn) AppendAdd(dst []byte, entriesLen int) ([]byte, uint32) {
	seq := c.nextSeq()
	return c.AddHeader(dst, seq, entriesLen), seq
}

// SendAdds sends a batch of whole JOOLD_ADDs, at most about 200 KiB.
func (c *Conn) SendAdds(batch *packetio.Gather) error { return batch.Send(c.asker) }

// ReadErrors reads what waits on the asking socket and hands it to OnError.
func (c *Conn) ReadErrors() {
	buf := replyBuffers.Get().(*[]byte)
	defer replyBuffers.Put(buf)
	for {
		n, err := readFD(c.asker, *buf)
		if err == unix.ENOBUFS { // some reports are lost: that is an error each, at least one
			c.report(0, err)
			continue
		}
		if err != nil {
			return
		}
		c.handleUnasked((*buf)[:n])
	}
}

// handleUnasked hands the errors in a datagram of replies to OnError.
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

// ask sends a request and hands its reply to use. The reply's bytes are gone
// when use returns.
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
			_, _ = unix.Poll(fds, int(left.Milliseconds())+1) // the next read tells
		case err == unix.ENOBUFS:
			c.report(0, err)
		case err != nil:
			return fmt.Errorf("asking Jool: %w", err)
		}
	}
}

// readReply reads one datagram, and hands it to use if it is the reply with that
// number. The buffer is not kept over a wait: hundreds of threads may wait.
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
	if c.seq == 0 { // multicasts have 0
		c.seq = 1
	}
	return c.seq
}

// AskHello tells whether the instance exists. An *Error with ENOENT says that
// the family has gone: the module was unloaded, and perhaps loaded again.
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

// AskStats reads the instance's counters that concern sessions.
func (c *Conn) AskStats() (stats Stats, err error) {
	err = c.ask(func(dst []byte, seq uint32) ([]byte, error) { return c.Stats(dst, seq), nil }, func(m Message) error {
		var err error
		stats, err = c.Version.ParseStats(m.Attrs)
		return err
	})
	return stats, err
}

// AskSessions appends a page of a protocol's table to dst: what comes behind
// after, or the first page. more says that there is another.
func (c *Conn) AskSessions(dst []session.Session, p session.Proto, after *session.Session) (page []session.Session, more bool, err error) {
	page = dst
	err = c.ask(func(dst []byte, seq uint32) ([]byte, error) { return c.Sessions(dst, seq, p, after) }, func(m Message) error {
		var err error
		page, more, err = ParseSessions(dst, m)
		return err
	})
	return page, more, err
}

// AskRemoveBIB ends a BIB entry and its sessions.
func (c *Conn) AskRemoveBIB(p session.Proto, src4 netip.AddrPort) error {
	return c.ask(func(dst []byte, seq uint32) ([]byte, error) { return c.RemoveBIB(dst, seq, p, src4) }, func(Message) error { return nil })
}

// AskAdvertise has the module multicast its whole table.
func (c *Conn) AskAdvertise() error {
	return c.ask(func(dst []byte, seq uint32) ([]byte, error) { return c.Advertise(dst, seq) }, func(Message) error { return nil })
}

// IsNotLoaded reports whether an error of the module's says that the NAT64
// part of it is gone: "rmmod jool" leaves jool_common behind, which answers.
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

// Untaken reports whether an error of the module's says that it did not look at
// the request's sessions at all: no such instance, synchronisation off, the
// module gone. Other errors concern single sessions, and the rest is stored.
func Untaken(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Text == "" || IsNotLoaded(err) ||
		strings.Contains(e.Text, "lacks an instance") || strings.Contains(e.Text, "disabled"))
}

// NoMemory reports whether an error of the module's says that it had no memory for some of a JOOLD_ADD's sessions, so
// that the same sessions can be stored later. For others of its errors they can't. The module reports EINVAL and names
// the cause in the text only, which is empty if there was no memory for that either.
func NoMemory(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Code == unix.ENOMEM || e.Code == unix.EINVAL && e.Text == unix.EINVAL.Error() ||
		strings.Contains(e.Text, "unknown error code -12."))
}
