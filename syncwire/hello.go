package syncwire

import (
	"encoding/binary"
	"slices"
)

// Sync is a sender's verdict about its own table: does it contain the sessions of all peers?
type Sync uint8

const (
	SyncNo    Sync = 0
	SyncYes   Sync = 1
	SyncAlone Sync = 2
)

// String returns "yes", "no" or "alone".
func (s Sync) String() string {
	switch s {
	case SyncYes:
		return "yes"
	case SyncAlone:
		return "alone"
	}
	return "no"
}

// Hello announces its sender. A worker sends it at its start, every second while it is busy, and every ten
// seconds while it is idle.
type Hello struct {
	Asks     bool // asks the receivers for a HELLO in return
	Sync     Sync
	Sessions uint32 // number of sessions in the table of the sender's instance
	Module   uint32 // the sender's Jool version, encoded as in Jool's header
	Settings Settings
	Software string // at most 32 bytes
	// Dropping is true while the sender's module drops sessions that it should report.
	Dropping bool
	// NextIn is the number of seconds within which the sender's next HELLO follows; 0: unknown.
	NextIn uint8
	// Generation is the sender's own generation. Its sequence number is Last of the message.
	Generation uint32
	// Vector is the components of the other origins.
	Vector []Component
	// Security is how the sender seals datagrams.
	Security Security
	// Heard lists which padded HELLOs of live peers have arrived lately. It is nil if the sender's software is
	// too old to send it.
	Heard []Heard
	// Padded is true for a HELLO that tests whether a datagram of its length arrives. The sender sends the same
	// HELLO without padding first. Padding is the number of padding bytes.
	Padded  bool
	Padding int
}

// Heard is a peer and the length of the last padded HELLO that has completely arrived from it.
type Heard struct {
	ID ID
	// Len is the length in bytes as Message.Append encodes the HELLO; 0: none has arrived lately.
	Len uint16
}

// heardLen is the length of an encoded Heard: ID (4) and Len (2).
const heardLen = 6

func (*Hello) messageType() Type { return TypeHello }

func (h *Hello) appendFields(dst []byte) []byte {
	flags := byte(0)
	if h.Asks {
		flags |= 1
	}
	if h.Dropping {
		flags |= 2
	}
	dst = appendField(dst, 1, flags, byte(h.Sync), h.NextIn)
	dst = appendField32(dst, 2, h.Sessions, h.Module)
	dst = appendField(dst, 3, h.Settings.append(nil)...)
	dst = appendField(dst, 4, []byte(h.Software)...)
	dst = appendField32(dst, 5, h.Generation)
	dst = appendVector(dst, 6, h.Vector)
	if h.Security.Known {
		dst = appendField(dst, 7, h.Security.append(nil)...)
	}
	if h.Heard != nil {
		heard := h.Heard[:min(len(h.Heard), MaxHeard)]
		dst = append(dst, 8)
		dst = binary.BigEndian.AppendUint16(dst, uint16(heardLen*len(heard)))
		for _, e := range heard {
			dst = binary.BigEndian.AppendUint32(dst, uint32(e.ID))
			dst = binary.BigEndian.AppendUint16(dst, e.Len)
		}
	}
	if h.Padded {
		dst = appendField(dst, 9, make([]byte, h.Padding)...)
	}
	return dst
}

func (h *Hello) setField(tag uint8, v []byte) error {
	switch tag {
	case 1:
		if len(v) < 2 {
			return errLength
		}
		if v[1] > byte(SyncAlone) {
			return errRange
		}
		h.Asks, h.Dropping, h.Sync = v[0]&1 != 0, v[0]&2 != 0, Sync(v[1])
		if len(v) > 2 {
			h.NextIn = v[2]
		}
	case 2:
		if len(v) < 8 {
			return errLength
		}
		h.Sessions, h.Module = binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:])
	case 3:
		return h.Settings.parse(v)
	case 4:
		if len(v) > 32 || slices.ContainsFunc(v, func(b byte) bool { return b < ' ' || b > '~' }) {
			return errRange
		}
		h.Software = string(v)
	case 5:
		return field32(v, &h.Generation)
	case 6:
		return setVector(&h.Vector, v)
	case 7:
		return h.Security.parse(v)
	case 8:
		return h.setHeard(v)
	case 9:
		if len(v) > maxPadding {
			return errLength
		}
		h.Padded, h.Padding = true, len(v)
	}
	return nil
}

func (h *Hello) setHeard(v []byte) error {
	if len(v)%heardLen != 0 || len(v)/heardLen > MaxHeard || h.Heard != nil {
		return errLength
	}
	h.Heard = make([]Heard, 0, len(v)/heardLen)
	for ; len(v) > 0; v = v[heardLen:] {
		h.Heard = append(h.Heard, Heard{ID(binary.BigEndian.Uint32(v)), binary.BigEndian.Uint16(v[4:])})
	}
	return nil
}

func (h *Hello) check() error { return nil }
