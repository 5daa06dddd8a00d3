// Package joolnl implements the Generic Netlink protocol of the NAT64 Jool kernel module, versions 4.1.0 to
// 4.1.15 and 4.2.0-rc: its header, the operations that session synchronisation needs, and the connection.
// Package session has the encodings of sessions.
//
// A message consists of an nlmsghdr (16 bytes), a genlmsghdr (4), Jool's own header (28) and attributes.
// Attribute headers and the integers inside attributes are in host byte order, as usual in netlink. Addresses,
// and all fields of a packed session, are big endian.
//
// The sources of these facts are the module's source code (src/common/config.h, src/mod/common/nl) and captured
// messages (testdata).
package joolnl

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	// FamilyName and GroupName are the names under which the generic netlink controller lists Jool's family and
	// its multicast group for sessions.
	FamilyName = "Jool"
	GroupName  = "joold"

	// headerLen is the length of Jool's header.
	headerLen = 28
	// nlHeaderLen is the length of the nlmsghdr and the genlmsghdr before it.
	nlHeaderLen = unix.NLMSG_HDRLEN + unix.GENL_HDRLEN
	// attrsAt is the offset of a message's attributes.
	attrsAt = nlHeaderLen + headerLen
	// inameAt is the offset of the instance's name in a message.
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

// ParseHeader parses Jool's header and returns it with the attributes behind it. b begins with Jool's header.
//
// The name ends at its first NUL. The bytes behind the NUL are uninitialised memory in the multicasts of some
// kernels.
func ParseHeader(b []byte) (Header, []byte, error) {
	if len(b) < headerLen {
		return Header{}, nil, fmt.Errorf("Jool's header takes %d bytes, this message has %d", headerLen, len(b))
	}
	if [4]byte(b) != magic {
		return Header{}, nil, fmt.Errorf("a message of Jool begins with %q, this one with %q", magic[:], b[:4])
	}
	name := b[12:headerLen]
	instance, _, terminated := bytes.Cut(name, []byte{0})
	if !terminated {
		return Header{}, nil, errors.New("the instance name in Jool's header has no end")
	}
	return Header{
		Version:  Version(binary.BigEndian.Uint32(b[4:])),
		Flags:    b[9],
		Instance: string(instance),
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

// ErrInstanceName is returned for a name that an instance cannot have.
var ErrInstanceName = errors.New("an instance name has 1 to 15 bytes, none of them NUL")

// CheckInstanceName returns ErrInstanceName if the kernel would refuse the name, or cut it off at a NUL.
func CheckInstanceName(name string) error {
	if name == "" || len(name) > MaxInstanceName || bytes.IndexByte([]byte(name), 0) >= 0 {
		return ErrInstanceName
	}
	return nil
}
