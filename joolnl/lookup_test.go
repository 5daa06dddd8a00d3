package joolnl

import (
	"net/netip"
	"testing"

	"joolctl/session"
)

// TestPredecessor checks that the predecessor of a session sorts right before the session, and that a request
// can contain it.
func TestPredecessor(t *testing.T) {
	for _, c := range []struct {
		proto session.Proto
		dst4  string
		want  string
	}{
		{session.TCP, "192.0.2.1:80", "192.0.2.1:79"},
		{session.UDP, "192.0.2.1:1", "192.0.2.1:0"},
		{session.UDP, "192.0.2.0:0", "192.0.1.255:65535"},
		{session.ICMP, "192.0.2.1:700", "192.0.2.0:700"},
	} {
		dst4 := netip.MustParseAddrPort(c.dst4)
		s := sampleSession()
		s.Proto, s.State, s.Timer, s.Dst4 = c.proto, session.Established, session.TimerEstablished, dst4
		if c.proto == session.ICMP {
			s.Src4 = netip.AddrPortFrom(s.Src4.Addr(), dst4.Port())
		}
		r := s.Record()
		before := predecessor(&r)
		if before.Dst4.String() != c.want || before.Src4 != s.Src4 {
			t.Errorf("%v %v: behind %v %v, want %v", c.proto, dst4, before.Src4, before.Dst4, c.want)
		}
		if _, err := (Requests{}).Sessions(nil, 1, c.proto, &before); err != nil {
			t.Errorf("%v %v: %v", c.proto, dst4, err)
		}
	}
}
