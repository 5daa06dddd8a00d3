package session_test

import (
	"fmt"
	"net/netip"
	"time"

	"joolctl/session"
)

// A session in the format of Jool 4.1.13 and later.
func ExampleFormat() {
	pool6 := netip.MustParsePrefix("64:ff9b::/96")
	entry, err := session.Packed40.Append(nil, session.Session{
		Proto: session.TCP, State: session.Established, Timer: session.TimerEstablished,
		Src6: netip.MustParseAddrPort("[2001:db8::8]:1000"), Dst6: netip.MustParseAddrPort("[64:ff9b::c000:201]:80"),
		Src4: netip.MustParseAddrPort("198.51.100.1:2000"), Dst4: netip.MustParseAddrPort("192.0.2.1:80"),
		Expires: 2 * time.Hour,
	})
	if err != nil {
		panic(err)
	}
	s, err := session.Packed40.Decode(entry, pool6)
	fmt.Println(len(entry), s.Src6, s.Dst6, s.Expires, err)
	// Output: 40 [2001:db8::8]:1000 [64:ff9b::c000:201]:80 2h0m0s <nil>
}
