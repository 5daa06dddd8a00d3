// Package session holds NAT64 sessions in the forms that Jool's module and the hosts of a group exchange: Session is the
// decoded form, Record the same bytes for all versions of Jool, and Format the form of one range of versions.
//
// A Format's entry is a netlink attribute: its header and, in the nested form, all integers are in host byte order;
// addresses and all of a packed entry are big endian. The facts come from the module's sources and from captured messages
// (joolnl/testdata).
package session

import (
	"fmt"
	"net/netip"
	"time"
)

// Proto is a session's transport protocol, in Jool's numbers.
type Proto uint8

const (
	TCP Proto = iota
	UDP
	ICMP
	numProtos
)

// Valid reports whether p is TCP, UDP or ICMP.
func (p Proto) Valid() bool { return p < numProtos }

func (p Proto) String() string {
	if !p.Valid() {
		return fmt.Sprintf("Proto(%d)", uint8(p))
	}
	return [...]string{"TCP", "UDP", "ICMP"}[p]
}

// State is a TCP session's state (RFC 6146, section 3.5.2). Sessions of other
// protocols are always Established.
type State uint8

const (
	Established State = iota
	V6Init
	V4Init
	V4FinRcv
	V6FinRcv
	V4FinV6FinRcv
	Trans
	numStates
)

// String is the name that `jool session display` prints.
func (s State) String() string {
	if s >= numStates {
		return fmt.Sprintf("State(%d)", uint8(s))
	}
	return [...]string{"ESTABLISHED", "V6_INIT", "V4_INIT", "V4_FIN_RCV", "V6_FIN_RCV", "V4_FIN_V6_FIN_RCV", "TRANS"}[s]
}

// Timer is which of the protocol's timeouts a session expires by.
type Timer uint8

const (
	TimerEstablished Timer = iota // tcp-est-timeout, udp-timeout or icmp-timeout
	TimerTransitory               // tcp-trans-timeout
	TimerSYN4                     // 6 seconds, fixed
)

// timersOf has, by TCP state, the timers that a module's state machine ever
// gives it, as bits (src/mod/common/steps/filtering_and_updating.c and
// db/bib/db.c). A module takes any other pair too, and warns or dies later.
var timersOf = [numStates]uint8{
	Established:   1 << TimerEstablished,
	V6Init:        1 << TimerTransitory,
	V4Init:        1<<TimerTransitory | 1<<TimerSYN4,
	V4FinRcv:      1<<TimerEstablished | 1<<TimerTransitory, // transitory: an RST with handle-rst-during-fin-rcv on
	V6FinRcv:      1<<TimerEstablished | 1<<TimerTransitory,
	V4FinV6FinRcv: 1 << TimerTransitory,
	Trans:         1 << TimerTransitory,
}

// Session is one entry of an instance's session table. A port is an ICMP
// session's identifier.
type Session struct {
	Proto Proto
	State State
	Timer Timer
	Src6  netip.AddrPort // the IPv6 host
	Dst6  netip.AddrPort // the IPv4 host as the IPv6 one sees it: pool6 and Dst4
	Src4  netip.AddrPort // the mask, of pool4
	Dst4  netip.AddrPort // the IPv4 host
	// Expires is the time left, in whole milliseconds.
	Expires time.Duration
}

// Check returns ErrProto or ErrStateTimer if protocol, state and timer don't belong together.
func (s Session) Check() error { return checkKind(s.Proto, s.State, s.Timer) }
