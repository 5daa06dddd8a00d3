package syncwire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Version is the version of trailers and control messages. Receivers ignore those of another version.
const Version = 1

// ID identifies an incarnation: one run of a worker. It is random, new at every start, and never 0.
type ID uint32

// Seq is the sequence number of a sender's live datagram. It increases by 1 and wraps.
type Seq uint32

// After reports whether s is later than t in the serial number arithmetic of RFC 1982.
func (s Seq) After(t Seq) bool { return int32(s-t) > 0 }

// Kind is the kind of a datagram of sessions.
type Kind uint8

const (
	Live           Kind = 0 // sessions that the module has just reported
	Retransmission Kind = 1 // a retransmission of a live datagram
	Advertised     Kind = 2 // part of the sender's whole table, for upstream's peers
)

// TrailerLen is the length in bytes of the trailer behind a datagram's sessions: 00 00, version, kind, sender
// (4), sequence number (4), all big endian.
const TrailerLen = 12

// Trailer identifies a datagram: its kind, its sender and its sequence number.
type Trailer struct {
	Kind   Kind
	Sender ID
	Seq    Seq
}

// Append appends the encoded trailer to a datagram's sessions.
func (t Trailer) Append(dst []byte) []byte { return appendHead(dst, uint8(t.Kind), t.Sender, t.Seq) }

// ParseTrailer decodes the bytes that Sessions has found behind a datagram's sessions. It ignores further bytes,
// which a later version may send. It returns false for a trailer of another version and for an invalid one.
func ParseTrailer(b []byte) (Trailer, bool) {
	kind, sender, seq, ok := parseHead(b)
	if !ok || sender == 0 || kind > uint8(Advertised) {
		return Trailer{}, false
	}
	return Trailer{Kind(kind), sender, seq}, true
}

func appendHead(dst []byte, kind uint8, sender ID, seq Seq) []byte {
	dst = append(dst, 0, 0, Version, kind)
	dst = binary.BigEndian.AppendUint32(dst, uint32(sender))
	return binary.BigEndian.AppendUint32(dst, uint32(seq))
}

func parseHead(b []byte) (kind uint8, sender ID, seq Seq, ok bool) {
	if len(b) < TrailerLen || !isMark(b) || b[2] != Version {
		return 0, 0, 0, false
	}
	return b[3], ID(binary.BigEndian.Uint32(b[4:])), Seq(binary.BigEndian.Uint32(b[8:])), true
}

// Type is the type of a control message.
type Type uint8

const (
	TypeHello   Type = 1
	TypeSolicit Type = 2
	TypeNack    Type = 3
	TypeBegin   Type = 4
	TypeBulk    Type = 5
	TypeEnd     Type = 6
	TypeGone    Type = 7
)

// typeTest is the type of the datagram that `joolctl doctor` sends to its own host. Its sender is 0.
const typeTest = 255

// AppendTest appends a test datagram, which receivers ignore.
func AppendTest(dst []byte) []byte { return appendHead(dst, typeTest, 0, 0) }

// IsTest reports whether a datagram is a test datagram.
func IsTest(b []byte) bool {
	return len(b) == TrailerLen && isMark(b) && b[2] == Version && b[3] == typeTest
}

func (t Type) String() string {
	if t < TypeHello || t > TypeGone {
		return fmt.Sprintf("Type(%d)", uint8(t))
	}
	return [...]string{"HELLO", "SOLICIT", "NACK", "BEGIN", "BULK", "END", "GONE"}[t-1]
}

// Message is a control message. It begins with a head like a trailer, with the message's type in place of the
// kind and the sender's last sequence number; then fields follow. Upstream's joolds and modules read it as a
// list without entries.
type Message struct {
	Sender ID
	Last   Seq
	Body   Body
}

// Body is one of *Hello, *Solicit, *Nack, *Begin, *Bulk, *End and *Gone.
type Body interface {
	messageType() Type
	appendFields(dst []byte) []byte
	setField(tag uint8, value []byte) error
	check() error
}

// MaxMessage is the length in bytes of the UDP payload of an Ethernet frame with IPv6. Limits.Message returns
// the length for a host's own MTU.
const MaxMessage = DefaultMTU - headers6

// Append appends the encoded message.
func (m Message) Append(dst []byte) []byte {
	dst = appendHead(dst, uint8(m.Body.messageType()), m.Sender, m.Last)
	return m.Body.appendFields(dst)
}

// Reasons to ignore a message.
var (
	errVersion = errors.New("a message of another version")
	errType    = errors.New("a message of an unknown type")
	errField   = errors.New("a field is longer than the message")
	errLength  = errors.New("a field of the wrong length")
	errMissing = errors.New("a field is missing")
	errRange   = errors.New("a field is out of range")
)

// Unknown reports whether an error of Parse only means that the sender's version is newer.
func Unknown(err error) bool { return errors.Is(err, errVersion) || errors.Is(err, errType) }

// Parse decodes a control message. The result points into b.
//
// A field consists of a tag (1 byte), a length (2, big endian) and so many bytes. Parse skips unknown tags, and
// additional bytes at the end of a known field, because later versions may send them.
func Parse(b []byte) (Message, error) { return ParseWith(nil, b) }

// ParseWith is Parse, but decodes a BULK into bulk, if it is not nil. BULKs are frequent, so this saves
// allocations.
func ParseWith(bulk *Bulk, b []byte) (Message, error) {
	typ, sender, last, ok := parseHead(b)
	if !ok {
		return Message{}, errVersion
	}
	if sender == 0 {
		return Message{}, errMissing
	}
	var body Body
	if Type(typ) == TypeBulk && bulk != nil {
		*bulk = Bulk{}
		body = bulk
	} else if body = newBody(Type(typ)); body == nil {
		return Message{}, errType
	}
	for b = b[TrailerLen:]; len(b) > 0; {
		if len(b) < 3 {
			return Message{}, errField
		}
		n := int(binary.BigEndian.Uint16(b[1:]))
		if len(b) < 3+n {
			return Message{}, errField
		}
		if err := body.setField(b[0], b[3:3+n]); err != nil {
			return Message{}, fmt.Errorf("%v, field %d: %w", Type(typ), b[0], err)
		}
		b = b[3+n:]
	}
	if err := body.check(); err != nil {
		return Message{}, fmt.Errorf("%v: %w", Type(typ), err)
	}
	return Message{sender, last, body}, nil
}

func newBody(t Type) Body {
	switch t {
	case TypeHello:
		return &Hello{}
	case TypeSolicit:
		return &Solicit{}
	case TypeNack:
		return &Nack{}
	case TypeBegin:
		return &Begin{}
	case TypeBulk:
		return &Bulk{}
	case TypeEnd:
		return &End{}
	case TypeGone:
		return &Gone{}
	}
	return nil
}

// fieldHead is the length in bytes of a field's tag and length.
const fieldHead = 3

func appendField(dst []byte, tag uint8, value ...byte) []byte {
	dst = append(dst, tag)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(value)))
	return append(dst, value...)
}

func appendField32(dst []byte, tag uint8, values ...uint32) []byte {
	dst = append(dst, tag)
	dst = binary.BigEndian.AppendUint16(dst, uint16(4*len(values)))
	for _, v := range values {
		dst = binary.BigEndian.AppendUint32(dst, v)
	}
	return dst
}

// field32 decodes a 32-bit number.
func field32[T ~uint32](value []byte, to *T) error {
	if len(value) < 4 {
		return errLength
	}
	*to = T(binary.BigEndian.Uint32(value))
	return nil
}
