// Package joolnl speaks the Generic Netlink protocol of the NAT64 Jool kernel
// module, versions 4.1.0 to 4.1.15 and 4.2.0-rc: its header, the operations
// that session synchronisation needs, and the connection. Package session has
// the forms that sessions take.
//
// A message is an nlmsghdr (16 bytes), a genlmsghdr (4), Jool's own header
// (28) and attributes. Attribute headers and the integers inside attributes
// are in host byte order, as everywhere in netlink; addresses, and all of a
// packed session, are big endian.
//
// The facts come from the module's sources (src/common/config.h,
// src/mod/common/nl) and from captured messages (testdata).
package joolnl

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	// FamilyName and GroupName are what genetlink's controller knows Jool and
	// its multicasts of sessions by.
	FamilyName = "Jool"
	GroupName  = "joold"

	// headerLen is the length of Jool's header.
	headerLen = 28
	// nlHeaderLen is the length of the nlmsghdr and the genlmsghdr before it.
	nlHeaderLen = unix.NLMSG_HDRLEN + unix.GENL_HDRLEN
	// attrsAt is where a message's attributes begin.
	attrsAt = nlHeaderLen + headerLen
	// inameAt is where a message has its instance's name.
	inameAt  = nlHeaderLen + 12
	inameLen = 16

	// MaxInstanceName is the length in bytes of the longest instance name.
	MaxInstanceName = inameLen - 1

	xtNAT64 = 2

	// Root attributes.
	attrGlobals        = 2
	attrSessionEntries = 7

	flagError = 1 << 0
	flagMore  = 1 << 3
)

var magic = [4]byte{'j', 'o', 'o', 'l'}

// Header is Jool's own header.
type Header struct {
	Version  Version
	Flags    uint8
	Instance string
}

// ParseHeader reads Jool's header and returns it with the attributes behind
// it. b is a message from Jool's header on.
//
// The name ends at its first NUL: what follows is uninitialised memory in some
// kernels' multicasts.
func ParseHeader(b []byte) (Header, []byte, error) {
	if len(b) < headerLen {
		return Header{}, nil, fmt.Errorf("Jool's header takes %d bytes, this message has %d", headerLen, len(b))
	}
	if [4]byte(b) != magic {
		return Header{}, nil, fmt.Errorf("a message of Jool begins with %q, this one with %q", magic[:], b[:4])
	}
	name := b[12:headerLen]
	end := bytes.IndexByte(name, 0)
	if end < 0 {
		return Header{}, nil, errors.New("the instance name in Jool's header has no end")
	}
	return Header{
		Version:  Version(binary.BigEndian.Uint32(b[4:])),
		Flags:    b[9],
		Instance: string(name[:end]),
	}, b[headerLen:], nil
}

// append writes the header's 28 bytes.
func (h Header) append(dst []byte) []byte {
	var b [headerLen]byte
	copy(b[:], magic[:])
	binary.BigEndian.PutUint32(b[4:], uint32(h.Version))
	b[8] = xtNAT64
	b[9] = h.Flags
	copy(b[12:12+MaxInstanceName], h.Instance)
	return append(dst, b[:]...)
}

// ErrInstanceName is the reason that a name can't be an instance's.
var ErrInstanceName = errors.New("an instance name has 1 to 15 bytes, none of them NUL")

// CheckInstanceName returns ErrInstanceName where the kernel would refuse the
// name, or take another one for it.
func CheckInstanceName(name string) error {
	if name == "" || len(name) > MaxInstanceName || bytes.IndexByte([]byte(name), 0) >= 0 {
		return ErrInstanceName
	}
	return nil
}
