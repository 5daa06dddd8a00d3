package syncwire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Version is that of the trailer and of the control messages. A receiver
// ignores what has another one.
const Version = 1

// ID names one run of one worker: random, new with every start, never 0.
type ID uint32

// Seq numbers a sender's datagrams, one up for each.
type Seq uint32

// After reports whether s comes after t, in the arithmetic of RFC 1982.
func (s Seq) After(t Seq) bool { return int32(s-t) > 0 }

// Kind is what a datagram of sessions is.
type Kind uint8

const (
	Live       Kind = 0 // the kernel has just reported them
	Repeat     Kind = 1 // somebody missed them
	Advertised Kind = 2 // part of the sender's whole table
)

// TrailerLen is the length of what stands behind a datagram's sessions: 00 00,
// version, kind, sender (4), sequence (4), all big endian.
const TrailerLen = 12

// Trailer says whose datagram it is, and which one.
type Trailer struct {
	Kind   Kind
	Sender ID
	Seq    Seq
}

// Append writes the trailer behind a datagram's sessions.
func (t Trailer) Append(dst []byte) []byte { return appendHead(dst, uint8(t.Kind), t.Sender, t.Seq) }

// ParseTrailer reads what Sessions found behind a datagram's sessions. A later
// version may have put more behind it.
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

// Type is a control message's.
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

func (t Type) String() string {
	if t < TypeHello || t > TypeGone {
		return fmt.Sprintf("Type(%d)", uint8(t))
	}
	return [...]string{"HELLO", "SOLICIT", "NACK", "BEGIN", "BULK", "END", "GONE"}[t-1]
}

// Message is a control message: a head like a trailer's, with the message's
// type for its kind and the last sequence that the sender used, then fields.
// Upstream's joolds and modules see nothing in it but a list without entries.
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

// MaxMessage is what an Ethernet frame carries in IPv6 and UDP. Limits.Message
// says how long the messages of a host are.
const MaxMessage = DefaultMTU - headers6

// Append writes the message.
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

// Unknown reports whether an error of Parse's means no more than that the
// sender is newer than we.
func Unknown(err error) bool { return errors.Is(err, errVersion) || errors.Is(err, errType) }

// Parse reads a control message. It points into b.
//
// A field is a tag (1), a length (2, big endian) and so many bytes. Tags that
// are not known, and bytes behind a field's known ones, are what a later
// version has added, and skipped.
func Parse(b []byte) (Message, error) { return ParseWith(nil, b) }

// ParseWith is Parse, and puts a BULK, of which there are many, into bulk.
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

// fieldHead is the length of a field's tag and length.
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

// field32 reads one 32-bit number.
func field32[T ~uint32](value []byte, to *T) error {
	if len(value) < 4 {
		return errLength
	}
	*to = T(binary.BigEndian.Uint32(value))
	return nil
}
