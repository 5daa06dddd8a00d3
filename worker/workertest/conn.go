package workertest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/joolnl"
	"joolctl/session"
)

// roomFor is the size of the request buffer: no worker sends a longer message. queueFor is the size of the send buffers. It is
// large because the real kernel has no queue for requests: it processes a request within the system call that sends it.
const (
	roomFor  = 256 << 10
	queueFor = 256 << 20
)

// conn is the simulated kernel's end of a joolnl.Conn.
type conn struct {
	kernel     *Kernel
	key        key
	multicasts *os.File
	requests   *os.File
	taken      chan struct{}
}

// newConn returns the kernel's end of a connection, and the two descriptors of the worker's end.
func newConn(k *Kernel, to key) (c *conn, receiver, asker int, err error) {
	var fds [2][2]int
	for i := range fds {
		// SOCK_SEQPACKET keeps the boundaries of messages. One message may hold several requests.
		fds[i], err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			for _, fd := range fds[:i] {
				unix.Close(fd[0])
				unix.Close(fd[1])
			}
			return nil, -1, -1, err
		}
		for _, fd := range fds[i] {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, queueFor); err != nil {
				return nil, -1, -1, err
			}
		}
	}
	c = &conn{kernel: k, key: to, multicasts: os.NewFile(uintptr(fds[0][1]), "multicasts"), requests: os.NewFile(uintptr(fds[1][1]), "requests"), taken: make(chan struct{})}
	return c, fds[0][0], fds[1][0], nil
}

// serve answers requests until the worker closes its end.
func (c *conn) serve() {
	buf := make([]byte, roomFor)
	for {
		n, err := c.requests.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) { // a test takes the ends, until it gives them back
			c.taken <- struct{}{}
			<-c.taken
			continue
		}
		if err != nil {
			break
		}
		for b := buf[:n]; len(b) >= 16; {
			m, rest, err := joolnl.ParseMessage(b)
			if err != nil || rest == nil {
				panic("a worker sent a malformed netlink message: " + err.Error())
			}
			c.serveOne(m, b[:len(b)-len(rest)])
			b = rest
		}
	}
	c.kernel.mu.Lock()
	defer c.kernel.mu.Unlock()
	c.multicasts.Close()
	c.requests.Close()
	delete(c.kernel.conns, c)
}

// serveOne processes one request and sends its reply.
func (c *conn) serveOne(m joolnl.Message, b []byte) {
	k := c.kernel
	k.mu.Lock()
	defer k.mu.Unlock()
	r := Request{Op: joolnl.Op(b[16]), Seq: m.Seq}
	if r.Op == joolnl.JooldAdd {
		r.Entries = append([]byte(nil), joolnl.SessionEntries(m.Attrs)...)
	}
	i := k.instances[c.key]
	if i != nil && r.Op == joolnl.JooldAdd {
		i.count(statPacketsRcvd, 1)
		i.count(statSessionsRcvd, uint64(k.version.Format().CountList(r.Entries)))
	}
	if i != nil {
		i.requests = append(i.requests, r)
		i.changed.Broadcast()
	}
	if reply := c.answer(i, r, m); reply != nil {
		_, _ = c.requests.Write(reply) // fails if the worker has closed its end
	}
}

// answer returns the reply to a request; nil if the module sends none.
func (c *conn) answer(i *Instance, r Request, m joolnl.Message) []byte {
	reply := func(flags byte, attrs ...byte) []byte {
		return message(m.Header.Version, m.Header.Instance, m.Seq, flags, attrs)
	}
	refuse := func(e *joolnl.Error) []byte {
		if e.Text == "" {
			return netlinkError(m.Seq, e.Code)
		}
		return reply(1, append(attr(1, byte(e.Code), byte(e.Code>>8)), attr(2, append([]byte(e.Text), 0)...)...)...)
	}
	switch {
	case c.kernel.unloaded:
		return refuse(&joolnl.Error{Code: unix.ENOENT})
	case i == nil && r.Op == joolnl.InstanceHello:
		return reply(0, attr(1, 1)...)
	case i == nil:
		return refuse(&joolnl.Error{Code: unix.ESRCH, Text: "This namespace lacks an instance named '" + m.Header.Instance + "'."})
	}
	if i.Refuse != nil {
		if e := i.Refuse(r); e != nil {
			return refuse(e)
		}
	}
	switch r.Op {
	case joolnl.InstanceHello:
		return reply(0, attr(1, 0)...)
	case joolnl.GlobalForeach:
		return reply(0, append(i.globals(), attr(27, b2u(!i.Off))...)...)
	case joolnl.GlobalUpdate:
		if e := i.update(m.Attrs); e != nil {
			return refuse(e)
		}
	case joolnl.StatsForeach:
		return reply(0, i.stats()...)
	case joolnl.Pool4Foreach:
		page, more := i.pool4Page(m)
		return reply(more, page...)
	case joolnl.SessionForeach:
		page, more := i.page(m)
		return reply(more, page...)
	case joolnl.JooldAdd, joolnl.JooldAck:
		if i.Off {
			return refuse(&joolnl.Error{Code: unix.EINVAL, Text: "Session Sync is disabled on this instance."})
		}
		if r.Op == joolnl.JooldAdd && i.Sessions != nil {
			i.Sessions.add(r.Entries)
		}
		return nil
	case joolnl.BIBRemove:
		if i.Sessions != nil {
			i.removeBIB(m)
		}
	}
	return reply(0)
}

// stats returns the attributes of a reply to STATS_FOREACH: the size of the table, if there is one, and the counters.
func (i *Instance) stats() (attrs []byte) {
	if i.Sessions != nil {
		n := uint64(i.Sessions.Len())
		attrs = append(attr(4, binary.NativeEndian.AppendUint64(nil, n)...), attr(5, binary.NativeEndian.AppendUint64(nil, n)...)...)
	}
	for id, n := range i.Stats {
		attrs = append(attrs, attr(id, binary.NativeEndian.AppendUint64(nil, n)...)...)
	}
	return attrs
}

// update processes a GLOBAL_UPDATE: it changes the instance's settings.
func (i *Instance) update(attrs []byte) *joolnl.Error {
	for b := attrs[4:]; len(b) >= 4; {
		n := int(binary.NativeEndian.Uint16(b))
		switch id := int(binary.NativeEndian.Uint16(b[2:])); id {
		case 27:
			i.Off = b[4] == 0
		case 29, 30:
			if i.Settings == nil {
				i.Settings = make(map[int]uint32)
			}
			i.Settings[id] = binary.NativeEndian.Uint32(b[4:])
		default:
			return &joolnl.Error{Code: unix.EINVAL, Text: "a setting that this kernel does not know"}
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	return nil
}

// pool4Page returns a page of POOL4_FOREACH: the prefix after the request's offset, or the first prefix. more is the flag for
// a further page.
func (i *Instance) pool4Page(m joolnl.Message) (page []byte, more byte) {
	next := 0
	switch {
	case binary.NativeEndian.Uint16(m.Attrs[2:]) != 11: // the offset
		for k, prefix := range i.Pool4 {
			if bytes.Contains(m.Attrs, prefix.Addr().AsSlice()) {
				next = k + 1
			}
		}
	case session.Proto(m.Attrs[4]) != session.UDP:
		return nil, 0
	}
	if next >= len(i.Pool4) {
		return nil, 0
	}
	prefix := append(attr(1, i.Pool4[next].Addr().AsSlice()...), attr(2, byte(i.Pool4[next].Bits()))...)
	entry := append(attr(4, byte(session.UDP)), attr(5|1<<15, prefix...)...)
	entry = append(append(entry, attr(6, 0, 0)...), attr(7, 0xff, 0xff)...)
	if next+1 < len(i.Pool4) {
		more = 8
	}
	return attr(1|1<<15, entry...), more
}

// pageLen is the largest number of sessions on a page of SESSION_FOREACH.
const pageLen = 26

// page returns a page of SESSION_FOREACH: the sessions after the request's offset, or the first ones. more is the flag for a
// further page.
func (i *Instance) page(m joolnl.Message) (page []byte, more byte) {
	var proto session.Proto
	var offset []byte
	for b := m.Attrs; len(b) >= 4; {
		n := int(binary.NativeEndian.Uint16(b))
		switch binary.NativeEndian.Uint16(b[2:]) &^ (1 << 15) {
		case 11:
			proto = session.Proto(b[4])
		case 8:
			offset = b[4+64 : 4+104] // its src4 and dst4
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	if i.Sessions != nil {
		return i.Sessions.reply(proto, offset)
	}
	n, found := 0, offset == nil
	for _, s := range i.Table {
		entry, err := session.Nested.Append(nil, s)
		if err != nil {
			panic(err)
		}
		switch {
		case s.Proto != proto:
		case !found:
			found = bytes.Equal(offset, entry[68:108])
		case n == pageLen:
			return page, 8
		default:
			page = append(page, entry...)
			n++
		}
	}
	return page, 0
}

// ICMPTimeout is the ICMP timeout of every instance, unless Settings has another. With Jool's default of a minute, sessions
// could expire during a test on a busy host.
const ICMPTimeout = 30 * time.Minute

// globals returns the instance's settings: pool6 64:ff9b::/96, ICMPTimeout and otherwise Jool's defaults, overridden by
// Settings.
func (i *Instance) globals() []byte {
	pool6 := append(attr(1, 0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), attr(2, 96)...)
	b := attr(2|1<<15, pool6...)
	const minute = 60_000
	for _, s := range []struct {
		id      int
		initial uint32
	}{
		{20, 120 * minute}, {21, 4 * minute}, {22, 5 * minute}, {23, uint32(ICMPTimeout.Milliseconds())}, // tcp-est, tcp-trans, udp, icmp
		{29, 2000}, {30, 512}, {31, 1452}, // ss-flush-deadline, ss-capacity, ss-max-payload
	} {
		v, set := i.Settings[s.id]
		if !set {
			v = s.initial
		}
		b = append(b, attr(s.id, binary.NativeEndian.AppendUint32(nil, v)...)...)
	}
	return append(b, attr(28, byte(i.Settings[28]))...) // ss-flush-asap
}

func b2u(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// Multicast returns the message in which a module reports sessions. The bytes of the name field after the instance's name are
// arbitrary, as in the messages of a real module.
func Multicast(v joolnl.Version, instance string, entries []byte) []byte {
	b := message(v, instance, 0, 0, attr(7|1<<15, entries...))
	for i := 20 + 12 + len(instance) + 1; i < 20+28; i++ {
		b[i] = 0xa5
	}
	return b
}

// message returns a netlink message of the module.
func message(v joolnl.Version, instance string, seq uint32, flags byte, attrs []byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(48+len(attrs)))
	b = binary.NativeEndian.AppendUint16(b, Family)
	b = binary.NativeEndian.AppendUint16(b, 0)
	b = binary.NativeEndian.AppendUint32(b, seq)
	b = binary.NativeEndian.AppendUint32(b, 0)
	b = append(b, 0, 2, 0, 0, 'j', 'o', 'o', 'l')
	b = binary.BigEndian.AppendUint32(b, uint32(v))
	b = append(b, 2, flags, 0, 0)
	var name [16]byte
	copy(name[:15], instance)
	b = append(b, name[:]...)
	return append(b, attrs...)
}

func netlinkError(seq uint32, code unix.Errno) []byte {
	b := binary.NativeEndian.AppendUint32(nil, 36)
	b = binary.NativeEndian.AppendUint16(b, unix.NLMSG_ERROR)
	b = binary.NativeEndian.AppendUint16(b, 0)
	b = binary.NativeEndian.AppendUint32(b, seq)
	b = binary.NativeEndian.AppendUint32(b, 0)
	b = binary.NativeEndian.AppendUint32(b, uint32(-int32(code)))
	return append(b, make([]byte, 16)...)
}

// attr returns a netlink attribute.
func attr(typ int, payload ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(payload)))
	b = binary.NativeEndian.AppendUint16(b, uint16(typ))
	b = append(b, payload...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}
