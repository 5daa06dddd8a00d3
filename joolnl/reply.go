package joolnl

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/session"
	"joolctl/session/attr"
)

// Error is the kernel's refusal of a request: Jool's own error report, or a plain netlink error if Text is
// empty.
type Error struct {
	Code unix.Errno
	Text string
}

func (e *Error) Error() string {
	if e.Text == "" {
		return fmt.Sprintf("netlink: %v", e.Code)
	}
	return fmt.Sprintf("Jool: %s (error %d)", e.Text, int(e.Code))
}

// Unwrap returns the errno.
func (e *Error) Unwrap() error { return e.Code }

// Message is one message from the kernel, parsed up to its attributes. It points into the parsed bytes.
type Message struct {
	Type   uint16 // the Generic Netlink family's number, or one of netlink's own types
	Seq    uint32 // 0 in multicasts
	Header Header
	Attrs  []byte
}

var errShort = errors.New("a netlink message is shorter than it says")

// ParseMessage parses the first netlink message of b, and returns it with the bytes that follow it. If the
// kernel has refused request Seq, the error is an *Error and the Message's Seq is set.
func ParseMessage(b []byte) (Message, []byte, error) {
	if len(b) < unix.NLMSG_HDRLEN {
		return Message{}, nil, errShort
	}
	n := int(binary.NativeEndian.Uint32(b))
	if n < unix.NLMSG_HDRLEN || n > len(b) {
		return Message{}, nil, errShort
	}
	m := Message{Type: binary.NativeEndian.Uint16(b[4:]), Seq: binary.NativeEndian.Uint32(b[8:])}
	body, rest := b[unix.NLMSG_HDRLEN:n], b[min((n+3)&^3, len(b)):]
	if m.Type == unix.NLMSG_ERROR {
		if len(body) < 4 {
			return Message{}, nil, errShort
		}
		code := int32(binary.NativeEndian.Uint32(body))
		if code == 0 {
			return m, rest, nil
		}
		return m, rest, &Error{Code: unix.Errno(-code)}
	}
	if m.Type < unix.NLMSG_MIN_TYPE {
		return m, rest, nil
	}
	if len(body) < unix.GENL_HDRLEN {
		return Message{}, nil, errShort
	}
	var err error
	m.Header, m.Attrs, err = ParseHeader(body[unix.GENL_HDRLEN:])
	if err != nil {
		return m, rest, err
	}
	if m.Header.Flags&flagError != 0 {
		return m, rest, errorReport(m.Attrs)
	}
	return m, rest, nil
}

// errorReport parses Jool's error report: code (attribute 1, u16) and text (2).
func errorReport(attrs []byte) error {
	e := &Error{Code: unix.EINVAL}
	err := attr.Each(attrs, func(typ int, p []byte) error {
		switch {
		case typ == 1 && len(p) >= 2:
			e.Code = unix.Errno(binary.NativeEndian.Uint16(p))
		case typ == 2:
			e.Text = string(bytes.TrimRight(p, "\x00\n"))
		}
		return nil
	})
	if err != nil {
		return err
	}
	if e.Text == "" {
		e.Text = e.Code.Error()
	}
	return e
}

// SessionEntries returns the list of sessions in a multicast's attributes, which joolds exchange in their
// datagrams, or nil if there is none.
func SessionEntries(attrs []byte) []byte {
	if len(attrs) < attr.HeaderLen {
		return nil
	}
	n := int(binary.NativeEndian.Uint16(attrs))
	typ := binary.NativeEndian.Uint16(attrs[2:]) &^ attr.Nested
	if n < attr.HeaderLen || n > len(attrs) || typ != attrSessionEntries {
		return nil
	}
	return attrs[attr.HeaderLen:n]
}

// ParseHello parses the reply to INSTANCE_HELLO: whether the instance exists.
func ParseHello(attrs []byte) (bool, error) {
	alive, seen := false, false
	err := attr.Each(attrs, func(typ int, p []byte) error {
		if typ == 1 && len(p) >= 1 {
			alive, seen = p[0] == 0, true
		}
		return nil
	})
	if err == nil && !seen {
		err = errors.New("INSTANCE_HELLO's reply has no status")
	}
	return alive, err
}

// ParseSessions appends a page of SESSION_FOREACH to dst. The entries are nested in every version. more reports
// whether further pages follow.
//
// ParseSessions accepts each combination of state and timer. A peer of another version may have left a session
// with an invalid combination in the table, and the pages behind this session must stay readable. Append of
// package session refuses it.
func ParseSessions(dst []session.Session, m Message) (sessions []session.Session, more bool, err error) {
	for b := m.Attrs; len(b) >= attr.HeaderLen; b = b[session.Nested.EntryLen():] {
		s, err := session.DecodeNested(b)
		if err != nil {
			return dst, false, fmt.Errorf("SESSION_FOREACH's reply: %w", err)
		}
		dst = append(dst, s)
	}
	return dst, m.Header.Flags&flagMore != 0, nil
}

// Values of an instance's framework.
const (
	netfilter = 1 << 2
	iptables  = 1 << 3
)

// Instance is one entry of INSTANCE_FOREACH.
type Instance struct {
	// NamespaceHandle is the low half of a kernel pointer. It is equal for all instances of one namespace, and
	// has no other meaning.
	NamespaceHandle uint32
	Name            string
	Iptables        bool // false: netfilter
}

// ParseInstances parses a page of INSTANCE_FOREACH.
func ParseInstances(attrs []byte) ([]Instance, error) {
	var list []Instance
	err := attr.Each(attrs, func(typ int, entry []byte) error {
		if typ != attr.ListEntry {
			return nil
		}
		var in Instance
		err := attr.Each(entry, func(typ int, p []byte) error {
			switch {
			case typ == 1 && len(p) >= 4:
				in.NamespaceHandle = binary.NativeEndian.Uint32(p)
			case typ == 2 && len(p) >= 1:
				in.Iptables = p[0]&iptables != 0
			case typ == 3:
				in.Name = string(bytes.TrimRight(p, "\x00"))
			}
			return nil
		})
		list = append(list, in)
		return err
	})
	return list, err
}

// Globals are those of an instance's settings that concern synchronisation.
type Globals struct {
	Pool6           netip.Prefix
	TCPEstablished  time.Duration
	TCPTransitory   time.Duration
	UDP             time.Duration
	ICMP            time.Duration
	SSEnabled       bool
	SSFlushASAP     bool
	SSFlushDeadline time.Duration
	SSCapacity      uint32
	SSMaxPayload    uint32
	SSMaxSessions   uint32 // per packet; 0 if the module has no such setting
}

// ParseGlobals parses the reply to GLOBAL_FOREACH. A setting of an unexpected length keeps its zero value.
func ParseGlobals(attrs []byte) (Globals, error) {
	var g Globals
	err := attr.Each(attrs, func(typ int, p []byte) error {
		switch typ {
		case 2:
			g.Pool6 = parsePrefix(p, 16)
		case 20:
			g.TCPEstablished = millis(u32(p))
		case 21:
			g.TCPTransitory = millis(u32(p))
		case 22:
			g.UDP = millis(u32(p))
		case 23:
			g.ICMP = millis(u32(p))
		case int(SSEnabled):
			g.SSEnabled = len(p) > 0 && p[0] != 0
		case 28:
			g.SSFlushASAP = len(p) > 0 && p[0] != 0
		case int(SSFlushDeadline):
			g.SSFlushDeadline = millis(u32(p))
		case int(SSCapacity):
			g.SSCapacity = u32(p)
		case 31:
			g.SSMaxPayload = u32(p)
		case 32:
			g.SSMaxSessions = u32(p)
		}
		return nil
	})
	return g, err
}

// parsePrefix parses a prefix whose address has a number of bytes: address (attribute 1) and length (2). It returns an invalid
// Prefix on an error.
func parsePrefix(b []byte, addressLen int) netip.Prefix {
	var addr netip.Addr
	bits := -1
	_ = attr.Each(b, func(typ int, p []byte) error { // the prefix stays invalid on an error
		switch {
		case typ == 1 && len(p) == addressLen:
			addr, _ = netip.AddrFromSlice(p)
		case typ == 2 && len(p) >= 1:
			bits = int(p[0])
		}
		return nil
	})
	if !addr.IsValid() {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(addr, bits)
}

func u32(p []byte) uint32 {
	if len(p) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(p)
}

// ParseStats parses the reply of a module of this version to STATS_FOREACH. It allocates no memory.
func (v Version) ParseStats(attrs []byte) (stats Stats, err error) {
	const whole = attr.HeaderLen + 8
	for len(attrs) >= whole && binary.NativeEndian.Uint16(attrs) == whole { // the usual form of a counter
		if k, ok := v.Stat(int(binary.NativeEndian.Uint16(attrs[2:]) & 0x3fff)); ok {
			stats.Set(k, binary.NativeEndian.Uint64(attrs[attr.HeaderLen:]))
		}
		attrs = attrs[whole:]
	}
	err = attr.Each(attrs, func(typ int, p []byte) error {
		if k, ok := v.Stat(typ); ok && len(p) == 8 {
			stats.Set(k, binary.NativeEndian.Uint64(p))
		}
		return nil
	})
	return stats, err
}

// ParseMulticast is ParseMessage for multicasts. It allocates no memory, and so leaves out the Header's
// Instance.
func ParseMulticast(b []byte) (Message, []byte, error) {
	if len(b) < attrsAt {
		return Message{}, nil, errShort
	}
	n := int(binary.NativeEndian.Uint32(b))
	if n < attrsAt || n > len(b) {
		return Message{}, nil, errShort
	}
	if [4]byte(b[nlHeaderLen:]) != magic {
		return Message{}, nil, errMagic
	}
	return Message{
		Type:   binary.NativeEndian.Uint16(b[4:]),
		Header: Header{Version: Version(binary.BigEndian.Uint32(b[nlHeaderLen+4:])), Flags: b[nlHeaderLen+9]},
		Attrs:  b[attrsAt:n],
	}, b[min((n+3)&^3, len(b)):], nil
}

var errMagic = errors.New("a message without Jool's mark")

func millis(ms uint32) time.Duration { return time.Duration(ms) * time.Millisecond }
