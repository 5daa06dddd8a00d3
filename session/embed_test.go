package session

import (
	"net/netip"
	"testing"
)

// The table of RFC 6052, section 2.4.
func TestEmbed(t *testing.T) {
	a4 := netip.MustParseAddr("192.0.2.33")
	for _, tt := range []struct{ pool6, want string }{
		{"2001:db8::/32", "2001:db8:c000:221::"},
		{"2001:db8:100::/40", "2001:db8:1c0:2:21::"},
		{"2001:db8:122::/48", "2001:db8:122:c000:2:2100::"},
		{"2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"},
		{"2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"},
		{"2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"},
		{"64:ff9b::/96", "64:ff9b::192.0.2.33"},
		{"64:ff9b::1/96", "64:ff9b::192.0.2.33"}, // bits behind the prefix
	} {
		got, err := Embed(netip.MustParsePrefix(tt.pool6), a4)
		if err != nil || got != netip.MustParseAddr(tt.want) {
			t.Errorf("Embed(%s, %v) = %v, %v; want %s", tt.pool6, a4, got, err, tt.want)
		}
	}
}

func TestEmbedRefuses(t *testing.T) {
	good, a4 := netip.MustParsePrefix("64:ff9b::/96"), netip.MustParseAddr("192.0.2.33")
	for _, pool6 := range []string{"::/0", "64:ff9b::/24", "64:ff9b::/33", "64:ff9b::/72", "64:ff9b::/80", "64:ff9b::/88", "64:ff9b::/95", "64:ff9b::/104", "64:ff9b::/128", "192.0.2.0/32"} {
		if got, err := Embed(netip.MustParsePrefix(pool6), a4); err == nil {
			t.Errorf("Embed(%s) = %v", pool6, got)
		}
	}
	if got, err := Embed(netip.Prefix{}, a4); err == nil {
		t.Errorf("Embed of no prefix = %v", got)
	}
	for _, a := range []netip.Addr{{}, netip.MustParseAddr("2001:db8::1")} {
		if got, err := Embed(good, a); err == nil {
			t.Errorf("Embed(%v) = %v", a, got)
		}
	}
}
