// Package attr reads and writes netlink attributes: a header of four bytes (length, then type, both 16 bits in host byte
// order; the length includes the header), the payload, and padding to four bytes.
package attr

import (
	"encoding/binary"
	"errors"
)

const (
	// HeaderLen is the length of an attribute's header in bytes.
	HeaderLen = 4
	// Nested is the bit of the type that marks a payload of attributes (NLA_F_NESTED).
	Nested = 1 << 15
	// ListEntry is the type of each entry of Jool's lists.
	ListEntry = 1
	// typeMask removes the nested bit and the byte order bit from a type.
	typeMask = 0x3fff
)

// ErrTooLong is returned for an attribute that is longer than the bytes that contain it.
var ErrTooLong = errors.New("an attribute is longer than the bytes that contain it")

// Each calls fn with the type (without its nested and byte order bits) and the payload of each attribute in b. It returns
// fn's first error. Like the kernel it stops, without an error, at fewer than four bytes and at a length below four.
func Each(b []byte, fn func(typ int, payload []byte) error) error {
	for len(b) >= HeaderLen {
		n := int(binary.NativeEndian.Uint16(b))
		if n < HeaderLen {
			return nil
		}
		if n > len(b) {
			return ErrTooLong
		}
		typ := int(binary.NativeEndian.Uint16(b[2:]) & typeMask)
		if err := fn(typ, b[HeaderLen:n]); err != nil {
			return err
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	return nil
}

// PutHeader writes the header of an attribute of length bytes, header included, to the first four bytes of b.
func PutHeader(b []byte, length, typ int) {
	binary.NativeEndian.PutUint16(b, uint16(length))
	binary.NativeEndian.PutUint16(b[2:], uint16(typ))
}

// AppendHeader appends the header of an attribute of length bytes, header included.
func AppendHeader(dst []byte, length, typ int) []byte {
	dst = binary.NativeEndian.AppendUint16(dst, uint16(length))
	return binary.NativeEndian.AppendUint16(dst, uint16(typ))
}

// Append appends a whole attribute, padded to four bytes.
func Append(dst []byte, typ int, payload ...byte) []byte {
	dst = AppendHeader(dst, HeaderLen+len(payload), typ)
	dst = append(dst, payload...)
	for len(dst)%4 != 0 {
		dst = append(dst, 0)
	}
	return dst
}
