package joolnl

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"joolctl/session"
	"joolctl/session/attr"
)

// Op is an operation of Jool's protocol, with its number in 4.1.
type Op uint8

const (
	InstanceForeach Op = 0
	InstanceHello   Op = 2
	StatsForeach    Op = 7
	GlobalForeach   Op = 8
	GlobalUpdate    Op = 9
	BIBRemove       Op = 24
	SessionForeach  Op = 25
	JooldAdd        Op = 27
	JooldAdvertise  Op = 28
	JooldAck        Op = 29
)

// command returns the operation's number in this version's protocol. 4.2 moved the last three operations, and
// reused their old numbers.
func (v Version) command(op Op) uint8 {
	if v.next() && op >= JooldAdd {
		return uint8(op) + 4
	}
	return uint8(op)
}

// rootAttrs returns the types of the attributes of SESSION_FOREACH.
func (v Version) rootAttrs() (offset, proto int) {
	if v.next() {
		return 9, 12
	}
	return 8, 11
}

// Requests builds messages to one instance of a module of one version. Every message is complete, from the
// nlmsghdr on. The reply has the same sequence number. The sender's netlink port is 0, so the kernel fills it
// in.
//
// Requests does not build messages that harm the kernel: a JOOLD_ADD without sessions or with entries that
// Format.Check refuses, or a SESSION_FOREACH for a protocol above 2.
type Requests struct {
	// Family is the Generic Netlink family's number, which changes each time the module is loaded.
	Family  uint16
	Version Version
	// Instance must pass CheckInstanceName.
	Instance string
}

// Hello appends a request whether the instance exists. If it does not, the module writes no line to the kernel
// log.
func (r Requests) Hello(dst []byte, seq uint32) []byte {
	return r.message(dst, InstanceHello, seq, nil)
}

// Instances appends a request for a page of the instances of all namespaces: those that follow after, or the
// first page if after is nil.
func (r Requests) Instances(dst []byte, seq uint32, after *Instance) []byte {
	if after == nil {
		return r.message(dst, InstanceForeach, seq, nil)
	}
	offsetType, _ := r.Version.rootAttrs()
	framework := byte(netfilter)
	if after.Iptables {
		framework = iptables
	}
	entry := attr.Append(nil, 1, binary.NativeEndian.AppendUint32(nil, after.NamespaceHandle)...)
	entry = attr.Append(entry, 2, framework)
	entry = attr.Append(entry, 3, append([]byte(after.Name), 0)...)
	return r.message(dst, InstanceForeach, seq, attr.Append(nil, offsetType|attr.Nested, entry...))
}

// Stats appends a request for the instance's counters.
func (r Requests) Stats(dst []byte, seq uint32) []byte {
	return r.message(dst, StatsForeach, seq, nil)
}

// Globals appends a request for the instance's settings.
func (r Requests) Globals(dst []byte, seq uint32) []byte {
	return r.message(dst, GlobalForeach, seq, nil)
}

// Sessions appends a request for a page of one protocol's session table, which is ordered by src4 and dst4: the
// sessions that follow after, whether or not the table still contains after, or the first page if after is nil.
func (r Requests) Sessions(dst []byte, seq uint32, p session.Proto, after *session.Session) ([]byte, error) {
	if !p.Valid() {
		return dst, fmt.Errorf("SESSION_FOREACH: %w %v", session.ErrProto, p)
	}
	offsetType, protoType := r.Version.rootAttrs()
	attrs := attr.Append(nil, protoType, byte(p))
	if after != nil {
		last := *after
		if last.Check() != nil {
			// The module reads only src4 and dst4 of the offset.
			last.Proto, last.State, last.Timer = p, session.Established, session.TimerEstablished
		}
		entry, err := session.Nested.Append(nil, last)
		if err != nil {
			return dst, fmt.Errorf("SESSION_FOREACH: %w", err)
		}
		// The offset is an entry without its timer, as in the requests of Jool's own tool.
		attrs = attr.AppendHeader(attrs, session.Nested.EntryLen()-8, offsetType|attr.Nested)
		attrs = append(attrs, entry[attr.HeaderLen:124]...)
		attrs = append(attrs, entry[132:]...)
	}
	return r.message(dst, SessionForeach, seq, attrs), nil
}

// RemoveBIB appends a request to remove the BIB entry with this IPv4 address and port, and all its sessions.
func (r Requests) RemoveBIB(dst []byte, seq uint32, p session.Proto, src4 netip.AddrPort) ([]byte, error) {
	if !p.Valid() || !src4.Addr().Is4() {
		return dst, fmt.Errorf("BIB_RM: no such entry: %v %v", p, src4)
	}
	operandType := 10
	if r.Version.next() {
		operandType++
	}
	addr := src4.Addr().As4()
	mask := attr.Append(nil, 1, addr[:]...)
	mask = attr.Append(mask, 2, binary.NativeEndian.AppendUint16(nil, src4.Port())...)
	entry := attr.Append(nil, 2|attr.Nested, mask...)
	entry = attr.Append(entry, 3, byte(p))
	return r.message(dst, BIBRemove, seq, attr.Append(nil, operandType|attr.Nested, entry...)), nil
}

// Advertise appends a request to multicast the instance's whole session table.
func (r Requests) Advertise(dst []byte, seq uint32) ([]byte, error) {
	if !r.Version.HasAdvertise() {
		return dst, fmt.Errorf("Jool %v has no advertise that works; it came with 4.1.11", r.Version)
	}
	return r.message(dst, JooldAdvertise, seq, nil), nil
}

// Ack appends a JOOLD_ACK, which acknowledges the module's last multicast.
func (r Requests) Ack(dst []byte, seq uint32) []byte {
	return r.message(dst, JooldAck, seq, nil)
}

// AddHeaderLen is the number of bytes of a JOOLD_ADD before its sessions.
const AddHeaderLen = attrsAt + attr.HeaderLen

// AddHeader appends a JOOLD_ADD without its sessions, for a caller that sends these from another buffer. The
// caller must have checked them with CheckList. entriesLen is their length in bytes, more than 0.
func (r Requests) AddHeader(dst []byte, seq uint32, entriesLen int) []byte {
	dst = r.header(dst, JooldAdd, seq, attr.HeaderLen+entriesLen)
	return attr.AppendHeader(dst, attr.HeaderLen+entriesLen, attrSessionEntries|attr.Nested)
}

func (r Requests) message(dst []byte, op Op, seq uint32, attrs []byte) []byte {
	dst = r.header(dst, op, seq, len(attrs))
	return append(dst, attrs...)
}

// header writes a message's nlmsghdr, genlmsghdr and Jool's header.
func (r Requests) header(dst []byte, op Op, seq uint32, attrsLen int) []byte {
	dst = binary.NativeEndian.AppendUint32(dst, uint32(attrsAt+attrsLen))
	dst = binary.NativeEndian.AppendUint16(dst, r.Family)
	dst = binary.NativeEndian.AppendUint16(dst, unix.NLM_F_REQUEST)
	dst = binary.NativeEndian.AppendUint32(dst, seq)
	dst = binary.NativeEndian.AppendUint32(dst, 0)
	dst = append(dst, r.Version.command(op), 1, 0, 0)
	return Header{Version: r.Version, Instance: r.Instance}.append(dst)
}
