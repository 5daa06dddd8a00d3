package joolnl

import (
	"encoding/binary"
	"net/netip"

	"joolctl/session"
)

// AskSession looks a session up in the instance's table, by protocol, IPv4 source (Jool's "mask") and IPv4
// destination. It asks for the page that follows the session's predecessor in the module's order. buf is memory
// for that page.
func (c *Conn) AskSession(buf []session.Session, want *session.Record) (got session.Record, there bool, page []session.Session, err error) {
	before := predecessor(want)
	page, _, err = c.AskSessions(buf, want.Proto(), &before)
	if err != nil || len(page) == 0 {
		return got, false, page, err
	}
	got = page[0].Record()
	return got, got.Src4() == want.Src4() && got.Key() == want.Key(), page, nil
}

// predecessor returns a session that sorts right before r in the module's order, whether or not the table
// contains it: the same IPv4 source, and the IPv4 destination address and port before those of r. ICMP sessions
// have one identifier for both ends.
func predecessor(r *session.Record) session.Session {
	src6, src6Port := netip.AddrFrom16([16]byte(r[:16])), binary.BigEndian.Uint16(r[28:])
	dst4, port := binary.BigEndian.Uint32(r[20:]), binary.BigEndian.Uint16(r[32:])
	switch {
	case r.Proto() == session.ICMP:
		dst4--
	case port > 0:
		port--
	default:
		dst4, port = dst4-1, 1<<16-1
	}
	var addr [4]byte
	binary.BigEndian.PutUint32(addr[:], dst4)
	return session.Session{ // the module reads src4 and dst4 only
		Proto: r.Proto(), State: r.State(), Timer: r.Timer(),
		Src6: netip.AddrPortFrom(src6, src6Port), Dst6: netip.AddrPortFrom(netip.IPv6Unspecified(), port),
		Src4: r.Src4(), Dst4: netip.AddrPortFrom(netip.AddrFrom4(addr), port),
	}
}
