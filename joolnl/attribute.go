package joolnl

import (
	"encoding/binary"
	"errors"
)

// Root attributes; a list's entries have type 1.
const (
	attrGlobals        = 2
	attrSessionEntries = 7
	listEntry          = 1

	nlaNested = 1 << 15
	nlaHeader = 4
)

var errAttribute = errors.New("an attribute is longer than what holds it")

// eachAttr calls fn with the type (its nested and byte order bits taken off)
// and the payload of every attribute in b. Like the kernel it stops, without
// an error, at fewer than four bytes and at a length below four.
func eachAttr(b []byte, fn func(typ int, payload []byte) error) error {
	for len(b) >= nlaHeader {
		n := int(binary.NativeEndian.Uint16(b))
		if n < nlaHeader {
			return nil
		}
		if n > len(b) {
			return errAttribute
		}
		typ := int(binary.NativeEndian.Uint16(b[2:]) & 0x3fff)
		if err := fn(typ, b[nlaHeader:n]); err != nil {
			return err
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	return nil
}

func putAttrHeader(b []byte, length, typ int) {
	binary.NativeEndian.PutUint16(b, uint16(length))
	binary.NativeEndian.PutUint16(b[2:], uint16(typ))
}

func appendAttrHeader(dst []byte, length, typ int) []byte {
	dst = binary.NativeEndian.AppendUint16(dst, uint16(length))
	return binary.NativeEndian.AppendUint16(dst, uint16(typ))
}

// appendAttr writes a whole attribute, padded to four bytes.
func appendAttr(dst []byte, typ int, payload ...byte) []byte {
	dst = appendAttrHeader(dst, nlaHeader+len(payload), typ)
	dst = append(dst, payload...)
	for len(dst)%4 != 0 {
		dst = append(dst, 0)
	}
	return dst
}
