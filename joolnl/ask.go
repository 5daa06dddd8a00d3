package joolnl

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/session"
)

// replyTimeout bounds the wait for a reply. The module replies inside the request's own system call, so in
// practice the wait never gets that long.
const replyTimeout = 2 * time.Second

// largestReply is a buffer size for the largest message that the module sends: a page of 26 nested sessions, or
// of instances.
const largestReply = 32 << 10

var replyBuffers = sync.Pool{New: func() any { b := make([]byte, largestReply); return &b }}

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
