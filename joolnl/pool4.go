package joolnl

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"

	"joolctl/session"
	"joolctl/session/attr"
)

// Pool4Foreach is the operation that reads pool4 page by page. The entries in its replies and in its offset have
// the same encoding in every version (src/common/config.h, src/mod/common/nl/pool4.c, attribute.c).
const Pool4Foreach Op = 18

// Pool4Entry is one range of pool4.
type Pool4Entry struct {
	Mark       uint32
	Iterations uint32
	Flags      uint8 // flags of Iterations
	Proto      session.Proto
	Prefix     netip.Prefix // IPv4
	PortMin    uint16
	PortMax    uint16
}

var errPool4 = errors.New("a pool4 entry without protocol, prefix or ports")

// Pool4 appends a request for a page of one protocol's pool4: the entries that follow after, or the first page
// if after is nil.
func (r Requests) Pool4(dst []byte, seq uint32, p session.Proto, after *Pool4Entry) ([]byte, error) {
	if !p.Valid() {
		return dst, fmt.Errorf("POOL4_FOREACH: %w %v", session.ErrProto, p)
	}
	offsetType, protoType := r.Version.rootAttrs()
	if after == nil {
		return r.message(dst, Pool4Foreach, seq, attr.Append(nil, protoType, byte(p))), nil
	}
	entry, err := after.append(nil)
	if err != nil {
		return dst, fmt.Errorf("POOL4_FOREACH: %w", err)
	}
	return r.message(dst, Pool4Foreach, seq, attr.Append(nil, offsetType|attr.Nested, entry...)), nil
}

// append encodes the entry's attributes: mark (1), iterations (2), flags (3), protocol (4), prefix (5, nested:
// address 1, length 2), ports (6 and 7).
func (e *Pool4Entry) append(dst []byte) ([]byte, error) {
	if !e.Prefix.IsValid() || !e.Prefix.Addr().Is4() {
		return dst, errPool4
	}
	u32 := func(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }
	u16 := func(v uint16) []byte { return binary.NativeEndian.AppendUint16(nil, v) }
	prefix := attr.Append(attr.Append(nil, 1, e.Prefix.Addr().AsSlice()...), 2, byte(e.Prefix.Bits()))
	dst = attr.Append(dst, 1, u32(e.Mark)...)
	dst = attr.Append(dst, 2, u32(e.Iterations)...)
	dst = attr.Append(dst, 3, e.Flags)
	dst = attr.Append(dst, 4, byte(e.Proto))
	dst = attr.Append(dst, 5|attr.Nested, prefix...)
	dst = attr.Append(dst, 6, u16(e.PortMin)...)
	return attr.Append(dst, 7, u16(e.PortMax)...), nil
}

// ParsePool4 appends a page of POOL4_FOREACH to dst. more reports whether further pages follow.
func ParsePool4(dst []Pool4Entry, m Message) (entries []Pool4Entry, more bool, err error) {
	entries = dst
	err = attr.Each(m.Attrs, func(typ int, p []byte) error {
		if typ != attr.ListEntry {
			return nil
		}
		e, err := parsePool4Entry(p)
		entries = append(entries, e)
		return err
	})
	if err != nil {
		return dst, false, fmt.Errorf("POOL4_FOREACH's reply: %w", err)
	}
	return entries, m.Header.Flags&flagMore != 0, nil
}

func parsePool4Entry(b []byte) (e Pool4Entry, err error) {
	var has byte
	err = attr.Each(b, func(typ int, p []byte) error {
		switch {
		case typ == 1:
			e.Mark = u32(p)
		case typ == 2:
			e.Iterations = u32(p)
		case typ == 3 && len(p) >= 1:
			e.Flags = p[0]
		case typ == 4 && len(p) >= 1:
			e.Proto = session.Proto(p[0])
			has |= 1
		case typ == 5:
			e.Prefix = parsePrefix(p, 4)
		case typ == 6 && len(p) >= 2:
			e.PortMin = binary.NativeEndian.Uint16(p)
			has |= 2
		case typ == 7 && len(p) >= 2:
			e.PortMax = binary.NativeEndian.Uint16(p)
			has |= 4
		}
		return nil
	})
	if err == nil && (has != 7 || !e.Prefix.IsValid()) {
		err = errPool4
	}
	return e, err
}

// AskPool4 appends a page of a protocol's pool4 to dst: the entries that follow after, or the first page if
// after is nil. more reports whether further pages follow.
func (c *Conn) AskPool4(dst []Pool4Entry, p session.Proto, after *Pool4Entry) (page []Pool4Entry, more bool, err error) {
	page = dst
	err = c.ask(func(dst []byte, seq uint32) ([]byte, error) { return c.Pool4(dst, seq, p, after) }, func(m Message) error {
		var err error
		page, more, err = ParsePool4(dst, m)
		return err
	})
	return page, more, err
}

// Pool4Digest returns a hash of the ranges of a pool4, with their marks and protocols. It does not depend on the
// order of the entries or on max-iterations. Pools with the same ranges have the same digest, and in practice no
// others have it. It is never 0.
func Pool4Digest(entries []Pool4Entry) uint32 {
	lines := make([][16]byte, len(entries))
	for i, e := range entries {
		b := binary.BigEndian.AppendUint32(lines[i][:0], e.Mark)
		b = append(b, byte(e.Proto), byte(e.Prefix.Bits()))
		b = append(b, e.Prefix.Addr().AsSlice()...)
		b = binary.BigEndian.AppendUint16(b, e.PortMin)
		binary.BigEndian.AppendUint16(b, e.PortMax)
	}
	return digest(lines)
}

// Bits of Pool4Entry.Flags beside bit 0: the module has computed the value of Iterations, or there is no limit.
// With either bit, Iterations has no meaning.
const (
	iterationsAuto     = 2
	iterationsInfinite = 4
)

// IterationsDigest returns a hash of max-iterations, the limit of attempts to find a free IPv4 address and port,
// for each mark and protocol.
func IterationsDigest(entries []Pool4Entry) uint32 {
	lines := make([][16]byte, len(entries))
	for i, e := range entries {
		flags := e.Flags & (iterationsAuto | iterationsInfinite)
		if flags != 0 {
			e.Iterations = 0
		}
		b := binary.BigEndian.AppendUint32(lines[i][:0], e.Mark)
		binary.BigEndian.AppendUint32(append(b, byte(e.Proto), flags), e.Iterations)
	}
	return digest(lines)
}

// digest returns FNV-1a over the sorted lines, or 1 instead of 0.
func digest(lines [][16]byte) uint32 {
	slices.SortFunc(lines, func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
	h := fnv.New32a()
	for _, line := range lines {
		h.Write(line[:])
	}
	return cmp.Or(h.Sum32(), 1)
}
