package session

import (
	"fmt"
	"net/netip"
)

// Embed writes an IPv4 address into a pool6 prefix (RFC 6052, section 2.2).
// The prefix's length must be 32, 40, 48, 56, 64 or 96.
func Embed(pool6 netip.Prefix, a4 netip.Addr) (netip.Addr, error) {
	n := pool6.Bits()
	if !pool6.Addr().Is6() || n < 32 || n > 96 || n%8 != 0 || n > 64 && n < 96 {
		return netip.Addr{}, fmt.Errorf("%v is no pool6: want an IPv6 prefix of length 32, 40, 48, 56, 64 or 96", pool6)
	}
	if !a4.Is4() {
		return netip.Addr{}, fmt.Errorf("%v is no IPv4 address to write into %v", a4, pool6)
	}
	b, v4 := pool6.Masked().Addr().As16(), a4.As4()
	at := n / 8
	for _, octet := range v4 {
		if at == 8 { // the octet "u", bits 64 to 71, stays zero
			at++
		}
		b[at] = octet
		at++
	}
	return netip.AddrFrom16(b), nil
}
