package sim

import (
	"net/netip"

	"joolctl/joolnl"
)

// Flag is the flag of a TCP packet that matters to its session.
type Flag uint8

const (
	Data Flag = iota // a packet without the flags below
	SYN
	FIN
	RST
)

func (f Flag) String() string { return [...]string{"data", "SYN", "FIN", "RST"}[f] }

// Packet is a packet that a host translates. A port is an ICMP packet's identifier.
type Packet struct {
	Proto joolnl.Proto
	Flag  Flag           // TCP only
	Src6  netip.AddrPort // the IPv6 host; unused if From4
	Dst4  netip.AddrPort // the IPv4 host
	From4 bool           // the IPv4 host sends it
	Src4  netip.AddrPort // the mask that the IPv4 host answers to; unused unless From4
}

// tcpNext returns the state and the timer that a packet leads to (RFC 6146, section 3.5.2), and whether the packet
// renews the session.
func tcpNext(s joolnl.State, t joolnl.Timer, f Flag, from4 bool) (joolnl.State, joolnl.Timer, bool) {
	switch s {
	case joolnl.V6Init:
		switch {
		case f == SYN && from4:
			return joolnl.Established, joolnl.TimerEstablished, true
		case f == SYN:
			return s, joolnl.TimerTransitory, true
		}
	case joolnl.V4Init:
		if f == SYN && !from4 {
			return joolnl.Established, joolnl.TimerEstablished, true
		}
	case joolnl.Established:
		return establishedNext(f, from4, t)
	case joolnl.V4FinRcv, joolnl.V6FinRcv:
		if f == FIN && from4 == (s == joolnl.V6FinRcv) {
			return joolnl.V4FinV6FinRcv, joolnl.TimerTransitory, true
		}
		return s, joolnl.TimerEstablished, true
	case joolnl.Trans:
		if f != RST {
			return joolnl.Established, joolnl.TimerEstablished, true
		}
	}
	return s, t, false
}

func establishedNext(f Flag, from4 bool, t joolnl.Timer) (joolnl.State, joolnl.Timer, bool) {
	switch {
	case f == FIN && from4:
		return joolnl.V4FinRcv, t, false
	case f == FIN:
		return joolnl.V6FinRcv, t, false
	case f == RST:
		return joolnl.Trans, joolnl.TimerTransitory, true
	}
	return joolnl.Established, joolnl.TimerEstablished, true
}
