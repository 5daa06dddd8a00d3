package session

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"joolctl/session/attr"
)

// Format is the form that sessions have in a module's multicasts, and so in
// the datagrams between hosts: a list of attributes of type 1, each of one
// exact length, its header included.
type Format uint8

const (
	// UnknownFormat is none of them.
	UnknownFormat Format = iota
	// Nested has an attribute for each field: 140 bytes. Jool 4.1.0 to 4.1.11
	// and 4.2.0-rc1 and rc2; in SESSION_FOREACH's replies every version.
	Nested
	// Packed52 is Jool 4.1.12's: the attribute's header, then, big endian, src6 (16),
	// dst6 (16), src4 (4), time left in ms (4), src6's port (2), dst6's (2),
	// src4's (2), bits (2). bits is proto<<5 | state<<2 | timer.
	Packed52
	// Packed40 is Jool 4.1.13's and later: src6 (16), src4 (4), dst4 (4), time
	// left in ms (4), src6's port (2), src4's (2), dst4's (2), bits (2).
	Packed40
)

func (f Format) String() string {
	switch f {
	case Nested:
		return "nested (Jool 4.1.0 to 4.1.11)"
	case Packed52:
		return "packed, 52 bytes (Jool 4.1.12)"
	case Packed40:
		return "packed, 40 bytes (Jool 4.1.13 and later)"
	}
	return "unknown"
}

// EntryLen is the length of one entry in bytes, its attribute header included.
func (f Format) EntryLen() int { return int(entryLens[f]) }

var entryLens = [...]uint8{UnknownFormat: 0, Nested: nestedLen, Packed52: 52, Packed40: 40}

// FormatOf tells the format by an entry's length; UnknownFormat if it is none's.
func FormatOf(entryLen int) Format {
	for _, f := range []Format{Packed40, Packed52, Nested} {
		if f.EntryLen() == entryLen {
			return f
		}
	}
	return UnknownFormat
}

// MaxPerMessage is the largest number of sessions that Jool puts into a message
// (more of the 40-byte form overflow the module's own buffer).
const MaxPerMessage = 41

// Reasons to refuse an entry.
var (
	ErrEntryLength = errors.New("an entry of another length")
	ErrEntryType   = errors.New("an entry of another type")
	ErrProto       = errors.New("an unknown protocol")
	ErrStateTimer  = errors.New("a state and a timer that don't belong together")
	ErrReserved    = errors.New("unused bits are set")
	ErrNested      = errors.New("an attribute of a nested session is missing or out of place")
	ErrTooMany     = errors.New("more sessions than a module puts into a message")
)

// Check says whether a module of this format can safely be given the entry
// that b begins with. The modules themselves check a minimum length only: an
// entry of another format becomes a garbage session, and a state that does not
// fit its timer is taken, and warns or dies later.
func (f Format) Check(b []byte) error {
	if err := f.checkHeader(b); err != nil {
		return err
	}
	if f == Nested {
		return checkNested(b)
	}
	bits := binary.BigEndian.Uint16(b[f.EntryLen()-2:])
	if bits>>7 != 0 {
		return ErrReserved
	}
	return checkKind(Proto(bits>>5), State(bits>>2&7), Timer(bits&3))
}

// checkHeader looks at an entry's own attribute header, and that b has all of
// the entry.
func (f Format) checkHeader(b []byte) error {
	n := f.EntryLen()
	if n == 0 || len(b) < n || int(binary.NativeEndian.Uint16(b)) != n {
		return ErrEntryLength
	}
	typ := binary.NativeEndian.Uint16(b[2:])
	if f == Nested {
		typ &^= attr.Nested
	}
	if typ != attr.ListEntry {
		return ErrEntryType
	}
	return nil
}

// checkKind says whether protocol, state and timer belong together.
func checkKind(p Proto, s State, t Timer) error {
	switch {
	case !p.Valid():
		return ErrProto
	case p != TCP && (s != Established || t != TimerEstablished),
		p == TCP && (s >= numStates || t > TimerSYN4 || timersOf[s]&(1<<t) == 0):
		return ErrStateTimer
	}
	return nil
}

// Decode reads the entry that b begins with. pool6 is the instance's, needed
// for Packed40, whose dst6 follows from it. An error is one of Check's, or
// that pool6 is no valid one.
func (f Format) Decode(b []byte, pool6 netip.Prefix) (Session, error) {
	if err := f.Check(b); err != nil {
		return Session{}, err
	}
	switch f {
	case Nested:
		return decodeNested(b), nil
	case Packed52:
		s := fromBits(binary.BigEndian.Uint16(b[50:]))
		src6, dst6, src4 := [16]byte(b[4:]), [16]byte(b[20:]), [4]byte(b[36:])
		s.Expires = millis(binary.BigEndian.Uint32(b[40:]))
		src6Port, dst6Port, src4Port := port(b[44:]), port(b[46:]), port(b[48:])
		s.Src6 = netip.AddrPortFrom(netip.AddrFrom16(src6), src6Port)
		s.Dst6 = netip.AddrPortFrom(netip.AddrFrom16(dst6), dst6Port)
		s.Src4 = netip.AddrPortFrom(netip.AddrFrom4(src4), src4Port)
		// The module takes dst4 from the last 32 bits: a /96 is all it knows here.
		dst4Port := dst6Port
		if s.Proto == ICMP {
			dst4Port = src4Port
		}
		s.Dst4 = netip.AddrPortFrom(netip.AddrFrom4([4]byte(dst6[12:])), dst4Port)
		return s, nil
	default:
		s := fromBits(binary.BigEndian.Uint16(b[38:]))
		dst4 := netip.AddrFrom4([4]byte(b[24:]))
		s.Expires = millis(binary.BigEndian.Uint32(b[28:]))
		src6Port, src4Port, dst4Port := port(b[32:]), port(b[34:]), port(b[36:])
		s.Src6 = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[4:])), src6Port)
		s.Src4 = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[20:])), src4Port)
		s.Dst4 = netip.AddrPortFrom(dst4, dst4Port)
		dst6, err := Embed(pool6, dst4)
		if err != nil {
			return Session{}, err
		}
		dst6Port := dst4Port
		if s.Proto == ICMP {
			dst6Port = src6Port
		}
		s.Dst6 = netip.AddrPortFrom(dst6, dst6Port)
		return s, nil
	}
}

// Append appends the session to dst as an entry of this format. It returns an
// error, and dst unchanged, for a session that would harm a module of this
// format.
func (f Format) Append(dst []byte, s Session) ([]byte, error) {
	if err := s.Check(); err != nil {
		return dst, fmt.Errorf("session %v: %w", s.Src6, err)
	}
	if !s.Src6.Addr().Is6() || !s.Dst6.Addr().Is6() || !s.Src4.Addr().Is4() || !s.Dst4.Addr().Is4() {
		return dst, fmt.Errorf("session %v: src6 and dst6 must be IPv6 addresses, src4 and dst4 IPv4 ones", s.Src6)
	}
	ms := s.Expires / time.Millisecond
	if ms < 0 || ms > 1<<32-1 {
		return dst, fmt.Errorf("session %v: a time left of %v does not fit 32 bits of milliseconds", s.Src6, s.Expires)
	}
	bits := uint16(s.Proto)<<5 | uint16(s.State)<<2 | uint16(s.Timer)
	src6, dst6 := s.Src6.Addr().As16(), s.Dst6.Addr().As16()
	src4, dst4 := s.Src4.Addr().As4(), s.Dst4.Addr().As4()
	switch f {
	case Nested:
		return appendNested(dst, s, uint32(ms)), nil
	case Packed52:
		if [4]byte(dst6[12:]) != dst4 {
			return dst, fmt.Errorf("session %v: dst6 %v does not end in dst4 %v, as Jool 4.1.12 needs it (a pool6 of /96)", s.Src6, s.Dst6, s.Dst4)
		}
		dst = attr.AppendHeader(dst, 52, attr.ListEntry)
		dst = append(dst, src6[:]...)
		dst = append(dst, dst6[:]...)
		dst = append(dst, src4[:]...)
		dst = binary.BigEndian.AppendUint32(dst, uint32(ms))
		dst = binary.BigEndian.AppendUint16(dst, s.Src6.Port())
		dst = binary.BigEndian.AppendUint16(dst, s.Dst6.Port())
		dst = binary.BigEndian.AppendUint16(dst, s.Src4.Port())
		return binary.BigEndian.AppendUint16(dst, bits), nil
	case Packed40:
		dst = attr.AppendHeader(dst, 40, attr.ListEntry)
		dst = append(dst, src6[:]...)
		dst = append(dst, src4[:]...)
		dst = append(dst, dst4[:]...)
		dst = binary.BigEndian.AppendUint32(dst, uint32(ms))
		dst = binary.BigEndian.AppendUint16(dst, s.Src6.Port())
		dst = binary.BigEndian.AppendUint16(dst, s.Src4.Port())
		dst = binary.BigEndian.AppendUint16(dst, s.Dst4.Port())
		return binary.BigEndian.AppendUint16(dst, bits), nil
	}
	return dst, fmt.Errorf("session %v: %v is no format to write", s.Src6, f)
}

func fromBits(bits uint16) Session {
	return Session{Proto: Proto(bits >> 5), State: State(bits >> 2 & 7), Timer: Timer(bits & 3)}
}

func millis(ms uint32) time.Duration { return time.Duration(ms) * time.Millisecond }

func port(b []byte) uint16 { return binary.BigEndian.Uint16(b) }
