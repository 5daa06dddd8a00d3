package session

import (
	"encoding/binary"
	"net/netip"

	"joolctl/session/attr"
)

// nestedLen is the length of the nested form of a session: every field an
// attribute, always in the order of nestedHeaders.
const nestedLen = 140

// nestedHeaders are the attribute headers of a nested entry, by offset.
var nestedHeaders = [...]struct {
	at, len, typ int
	nested       bool
}{
	{4, 32, 1, true}, {8, 20, 1, false}, {28, 6, 2, false}, // src6
	{36, 32, 2, true}, {40, 20, 1, false}, {60, 6, 2, false}, // dst6
	{68, 20, 3, true}, {72, 8, 1, false}, {80, 6, 2, false}, // src4
	{88, 20, 4, true}, {92, 8, 1, false}, {100, 6, 2, false}, // dst4
	{108, 5, 5, false}, // proto
	{116, 5, 6, false}, // state
	{124, 5, 7, false}, // timer
	{132, 8, 8, false}, // time left
}

// checkNested looks at all of a nested entry but its own header.
func checkNested(b []byte) error {
	if err := checkLayout(b); err != nil {
		return err
	}
	return checkKind(Proto(b[112]), State(b[120]), Timer(b[128]))
}

// checkLayout looks at a nested entry's inner attribute headers. Kernels
// before 5.2 leave the nested bit out, so it is not asked for.
func checkLayout(b []byte) error {
	for _, h := range nestedHeaders {
		typ := int(binary.NativeEndian.Uint16(b[h.at+2:]))
		if h.nested {
			typ &^= attr.Nested
		}
		if int(binary.NativeEndian.Uint16(b[h.at:])) != h.len || typ != h.typ {
			return ErrNested
		}
	}
	return nil
}

// DecodeNested reads the Nested entry that b begins with, as SESSION_FOREACH's replies have it. It accepts any protocol,
// state and timer (see Session.Check). The error is ErrEntryLength, ErrEntryType or ErrNested.
func DecodeNested(b []byte) (Session, error) {
	if err := Nested.checkHeader(b); err != nil {
		return Session{}, err
	}
	if err := checkLayout(b); err != nil {
		return Session{}, err
	}
	return decodeNested(b), nil
}

// decodeNested reads an entry that has passed checkHeader and checkLayout.
func decodeNested(b []byte) Session {
	hostPort := func(at int) uint16 { return binary.NativeEndian.Uint16(b[at:]) }
	return Session{
		Proto:   Proto(b[112]),
		State:   State(b[120]),
		Timer:   Timer(b[128]),
		Src6:    netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[12:])), hostPort(32)),
		Dst6:    netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[44:])), hostPort(64)),
		Src4:    netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[76:])), hostPort(84)),
		Dst4:    netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[96:])), hostPort(104)),
		Expires: millis(binary.NativeEndian.Uint32(b[136:])),
	}
}

func appendNested(dst []byte, s Session, ms uint32) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, nestedLen)...)
	b := dst[start:]
	attr.PutHeader(b, nestedLen, attr.ListEntry|attr.Nested)
	for _, h := range nestedHeaders {
		typ := h.typ
		if h.nested {
			typ |= attr.Nested
		}
		attr.PutHeader(b[h.at:], h.len, typ)
	}
	src6, dst6 := s.Src6.Addr().As16(), s.Dst6.Addr().As16()
	src4, dst4 := s.Src4.Addr().As4(), s.Dst4.Addr().As4()
	copy(b[12:], src6[:])
	copy(b[44:], dst6[:])
	copy(b[76:], src4[:])
	copy(b[96:], dst4[:])
	binary.NativeEndian.PutUint16(b[32:], s.Src6.Port())
	binary.NativeEndian.PutUint16(b[64:], s.Dst6.Port())
	binary.NativeEndian.PutUint16(b[84:], s.Src4.Port())
	binary.NativeEndian.PutUint16(b[104:], s.Dst4.Port())
	b[112], b[120], b[128] = byte(s.Proto), byte(s.State), byte(s.Timer)
	binary.NativeEndian.PutUint32(b[136:], ms)
	return dst
}
