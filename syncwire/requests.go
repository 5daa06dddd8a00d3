package syncwire

import (
	"encoding/binary"
)

// Solicit requests a full sync from one sender.
type Solicit struct{ To ID }

func (*Solicit) messageType() Type { return TypeSolicit }

func (s *Solicit) appendFields(dst []byte) []byte { return appendField32(dst, 1, uint32(s.To)) }

func (s *Solicit) check() error { return needID(s.To) }

func (s *Solicit) setField(tag uint8, v []byte) error {
	if tag == 1 {
		return field32(v, &s.To)
	}
	return nil
}

func needID(id ID) error {
	if id == 0 {
		return errMissing
	}
	return nil
}

// Range is a range of sequence numbers, or of the indexes of a full sync's BULKs, both ends included.
type Range struct{ From, To uint32 }

// Nack requests retransmissions from a sender: live datagrams by their sequence numbers or, if FullSync is not 0,
// BULKs of that full sync by their indexes.
type Nack struct {
	To       ID
	FullSync uint32
	Ranges   []Range
}

func (*Nack) messageType() Type { return TypeNack }

func (n *Nack) appendFields(dst []byte) []byte { return appendRanges(dst, n.To, n.FullSync, n.Ranges) }

func (n *Nack) check() error { return checkRanges(n.To, n.Ranges) }

func (n *Nack) setField(tag uint8, v []byte) error {
	return setRanges(tag, v, &n.To, &n.FullSync, &n.Ranges)
}

// Gone is the reply to a Nack for ranges that the sender does not retransmit, because it no longer has them or,
// if Superseded is true, because later datagrams contain all their sessions. To is the sender of the Nack.
type Gone struct {
	To         ID
	FullSync   uint32
	Ranges     []Range
	Superseded bool
}

func (*Gone) messageType() Type { return TypeGone }

func (g *Gone) check() error { return checkRanges(g.To, g.Ranges) }

func (g *Gone) appendFields(dst []byte) []byte {
	dst = appendRanges(dst, g.To, g.FullSync, g.Ranges)
	if g.Superseded {
		dst = appendField(dst, 3, 1)
	}
	return dst
}

func (g *Gone) setField(tag uint8, v []byte) error {
	if tag == 3 {
		g.Superseded = len(v) > 0 && v[0]&1 != 0
		return nil
	}
	return setRanges(tag, v, &g.To, &g.FullSync, &g.Ranges)
}

func appendRanges(dst []byte, to ID, fullSync uint32, ranges []Range) []byte {
	dst = appendField32(dst, 1, uint32(to), fullSync)
	values := make([]uint32, 0, 2*len(ranges))
	for _, r := range ranges {
		values = append(values, r.From, r.To)
	}
	return appendField32(dst, 2, values...)
}

func setRanges(tag uint8, v []byte, to *ID, fullSync *uint32, ranges *[]Range) error {
	switch tag {
	case 1:
		if len(v) < 8 {
			return errLength
		}
		*to, *fullSync = ID(binary.BigEndian.Uint32(v)), binary.BigEndian.Uint32(v[4:])
	case 2:
		if len(v)%8 != 0 || len(v)/8 > MaxRanges || *ranges != nil {
			return errLength
		}
		for ; len(v) > 0; v = v[8:] {
			*ranges = append(*ranges, Range{binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:])})
		}
	}
	return nil
}

func checkRanges(to ID, ranges []Range) error {
	if to == 0 || len(ranges) == 0 {
		return errMissing
	}
	for _, r := range ranges {
		if int32(r.To-r.From) < 0 {
			return errRange
		}
	}
	return nil
}
