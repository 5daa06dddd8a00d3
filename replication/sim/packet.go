package sim

import (
	"net/netip"

	"joolctl/session"
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
	Proto session.Proto
	Flag  Flag           // TCP only
	Src6  netip.AddrPort // the IPv6 host; unused if From4
	Dst4  netip.AddrPort // the IPv4 host
	From4 bool           // the IPv4 host sends it
	Src4  netip.AddrPort // the mask that the IPv4 host answers to; unused unless From4
}

// tcpNext returns the state and the timer that a packet leads to (RFC 6146, section 3.5.2), and whether the packet
// renews the session.
func tcpNext(s session.State, t session.Timer, f Flag, from4 bool) (session.State, session.Timer, bool) {
	switch s {
	case session.V6Init:
		switch {
		case f == SYN && from4:
			return session.Established, session.TimerEstablished, true
		case f == SYN:
			return s, session.TimerTransitory, true
		}
	case session.V4Init:
		if f == SYN && !from4 {
			return session.Established, session.TimerEstablished, true
		}
	case session.Established:
		return establishedNext(f, from4, t)
	case session.V4FinRcv, session.V6FinRcv:
		if f == FIN && from4 == (s == session.V6FinRcv) {
			return session.V4FinV6FinRcv, session.TimerTransitory, true
		}
		return s, session.TimerEstablished, true
	case session.Trans:
		if f != RST {
			return session.Established, session.TimerEstablished, true
		}
	}
	return s, t, false
}

func establishedNext(f Flag, from4 bool, t session.Timer) (session.State, session.Timer, bool) {
	switch {
	case f == FIN && from4:
		return session.V4FinRcv, t, false
	case f == FIN:
		return session.V6FinRcv, t, false
	case f == RST:
		return session.Trans, session.TimerTransitory, true
	}
	return session.Established, session.TimerEstablished, true
}
