package syncwire

import (
	"slices"
	"strconv"
)

// MaxKeyIDs is the largest number of keys that a HELLO names.
const MaxKeyIDs = 4

// SecurityMode is which datagrams, clear or sealed ones, a host sends and accepts.
type SecurityMode uint8

// The modes, with their numbers in a HELLO.
const (
	SecurityOff     SecurityMode = 0 // sends and accepts clear datagrams
	SecurityAccept  SecurityMode = 1 // accepts both kinds, sends clear datagrams
	SecuritySend    SecurityMode = 2 // accepts both kinds, sends sealed datagrams
	SecurityRequire SecurityMode = 3 // sends and accepts sealed datagrams
)

// Seals reports whether a host in this mode sends sealed datagrams.
func (m SecurityMode) Seals() bool { return m >= SecuritySend }

// TakesClear reports whether a host in this mode accepts clear datagrams.
func (m SecurityMode) TakesClear() bool { return m != SecurityRequire }

// TakesSealed reports whether a host in this mode accepts sealed datagrams.
func (m SecurityMode) TakesSealed() bool { return m != SecurityOff }

// String returns the mode's name in the configuration.
func (m SecurityMode) String() string { return [...]string{"off", "accept", "send", "require"}[m] }

// Security is a sender's mode and the IDs of its keys. Two values are == if mode and keys are the same.
type Security struct {
	// Known is false if the sender does not send its mode.
	Known bool
	Mode  SecurityMode
	// Keys is the number of the sender's keys. KeyIDs are their IDs in the order of the key file: the sender
	// seals with the first key.
	Keys   uint8
	KeyIDs [MaxKeyIDs]uint8
}

// NewSecurity returns a known Security with at most MaxKeyIDs keys.
func NewSecurity(mode SecurityMode, ids ...uint8) Security {
	s := Security{Known: true, Mode: mode}
	s.Keys = uint8(copy(s.KeyIDs[:], ids))
	return s
}

// String returns the mode and the IDs of the keys: "require (keys 2, 1)".
func (s Security) String() string {
	if !s.Known {
		return "unknown"
	}
	text := s.Mode.String()
	for i, id := range s.IDs() {
		switch {
		case i > 0:
			text += ", "
		case s.Keys == 1:
			text += " (key "
		default:
			text += " (keys "
		}
		text += strconv.Itoa(int(id))
	}
	if s.Keys > 0 {
		text += ")"
	}
	return text
}

// IDs returns the IDs of the keys in their order. The slice points into s.
func (s *Security) IDs() []uint8 { return s.KeyIDs[:s.Keys] }

// Has reports whether the sender has a key with this ID.
func (s *Security) Has(id uint8) bool { return slices.Contains(s.IDs(), id) }

// First returns the ID of the key with which the sender seals; 0 if there is no key.
func (s *Security) First() uint8 { return s.KeyIDs[0] }

// parse decodes the field of a HELLO: the mode (1 byte), then the IDs (1 byte each).
func (s *Security) parse(b []byte) error {
	switch {
	case len(b) < 1 || len(b) > 1+MaxKeyIDs:
		return errLength
	case b[0] > byte(SecurityRequire):
		return errRange
	}
	for i, id := range b[1:] {
		if slices.Contains(b[1:1+i], id) {
			return errRange
		}
	}
	*s = NewSecurity(SecurityMode(b[0]), b[1:]...)
	return nil
}

// append encodes the field's content.
func (s *Security) append(dst []byte) []byte { return append(append(dst, byte(s.Mode)), s.IDs()...) }
