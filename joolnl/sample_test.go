package joolnl

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"joolctl/session"
)

// sampleSession returns a UDP session, which every format can encode.
func sampleSession() session.Session {
	return session.Session{
		Proto: session.UDP, State: session.Established, Timer: session.TimerEstablished,
		Src6:    netip.MustParseAddrPort("[2001:db8::8]:2000"),
		Dst6:    netip.MustParseAddrPort("[64:ff9b::192.0.2.8]:9000"),
		Src4:    netip.MustParseAddrPort("192.0.2.1:62564"),
		Dst4:    netip.MustParseAddrPort("192.0.2.8:9000"),
		Expires: 5 * time.Minute,
	}
}

func icmpSession() session.Session {
	s := sampleSession()
	s.Proto = session.ICMP
	s.Src6 = netip.AddrPortFrom(s.Src6.Addr(), 174)
	s.Dst6 = netip.AddrPortFrom(s.Dst6.Addr(), 174)
	s.Src4 = netip.AddrPortFrom(s.Src4.Addr(), 61836)
	s.Dst4 = netip.AddrPortFrom(s.Dst4.Addr(), 61836)
	return s
}

func mustAppend(tb testing.TB, f session.Format, s session.Session) []byte {
	tb.Helper()
	b, err := f.Append(nil, s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// setKind sets the protocol, state and timer of an entry.
func setKind(f session.Format, b []byte, p session.Proto, s session.State, timer session.Timer) {
	if f == session.Nested {
		b[112], b[120], b[128] = byte(p), byte(s), byte(timer)
		return
	}
	binary.BigEndian.PutUint16(b[f.EntryLen()-2:], uint16(p)<<5|uint16(s)<<2|uint16(timer))
}
