package sim

import (
	"hash/fnv"
	"net/netip"
	"slices"

	"joolctl/session"
)

// endpoint is one side of a BIB entry.
type endpoint struct {
	proto session.Proto
	addr  netip.AddrPort
}

// mapping is a BIB entry.
type mapping struct {
	host, mask endpoint
	sessions   []*tableEntry
}

// bib is a module's binding information base: each IPv6 endpoint has one mask, and each mask one IPv6 endpoint.
type bib struct {
	byHost map[endpoint]*mapping
	byMask map[endpoint]*mapping
	pool4  []netip.Addr
	ports  [2]uint16 // the first and the last
	secret uint64    // differs between modules, so that they choose different masks
}

func newBIB(pool4 []netip.Addr, ports [2]uint16, secret uint64) bib {
	return bib{make(map[endpoint]*mapping), make(map[endpoint]*mapping), pool4, ports, secret}
}

// bind makes a BIB entry.
func (b *bib) bind(host, mask endpoint) *mapping {
	m := &mapping{host: host, mask: mask}
	b.byHost[host], b.byMask[mask] = m, m
	return m
}

func (b *bib) unbind(m *mapping) {
	delete(b.byHost, m.host)
	delete(b.byMask, m.mask)
}

// choose returns a free mask for an IPv6 endpoint, or false if pool4 is exhausted. It starts at a place that depends on
// the endpoint and the module's secret, and tries one mask after the other.
func (b *bib) choose(host endpoint) (endpoint, bool) {
	h := fnv.New64a()
	addr := host.addr.Addr().As16()
	h.Write(addr[:])
	h.Write([]byte{byte(host.addr.Port()), byte(host.addr.Port() >> 8), byte(host.proto)})
	perAddr := int(b.ports[1]) - int(b.ports[0]) + 1
	total := perAddr * len(b.pool4)
	start := int((h.Sum64() ^ b.secret) * 0x9e3779b97f4a7c15 >> 33 % uint64(total))
	for i := range total {
		n := (start + i) % total
		mask := endpoint{host.proto, netip.AddrPortFrom(b.pool4[n/perAddr], b.ports[0]+uint16(n%perAddr))}
		if b.byMask[mask] == nil {
			return mask, true
		}
	}
	return endpoint{}, false
}

// leave removes a session from its BIB entry, and the entry with its last session.
func (b *bib) leave(s *tableEntry) {
	m := s.bib
	m.sessions = slices.DeleteFunc(m.sessions, func(o *tableEntry) bool { return o == s })
	if len(m.sessions) == 0 {
		b.unbind(m)
	}
}

// sides returns a record's IPv6 endpoint and mask.
func sides(r *session.Record) (host, mask endpoint) {
	port := uint16(r[28])<<8 | uint16(r[29])
	host = endpoint{r.Proto(), netip.AddrPortFrom(netip.AddrFrom16([16]byte(r[:16])), port)}
	return host, endpoint{r.Proto(), r.Src4()}
}

// setMask writes another mask into a record.
func setMask(r *session.Record, mask netip.AddrPort) {
	addr := mask.Addr().As4()
	copy(r[16:20], addr[:])
	r[30], r[31] = byte(mask.Port()>>8), byte(mask.Port())
	if r.Proto() == session.ICMP {
		copy(r[32:34], r[30:32])
	}
}
