package replication_test

import (
	"fmt"
	"net/netip"
	"time"

	"joolctl/replication"
	"joolctl/session"
)

// The module reports a connection three times. Only the first report is sent at once; the others are refreshes.
func ExampleCoalescer() {
	s := session.Session{
		Proto: session.UDP, Expires: 5 * time.Minute,
		Src6: netip.MustParseAddrPort("[2001:db8::8]:1000"), Dst6: netip.MustParseAddrPort("[64:ff9b::c000:201]:53"),
		Src4: netip.MustParseAddrPort("198.51.100.1:2000"), Dst4: netip.MustParseAddrPort("192.0.2.1:53"),
	}
	c, now := replication.NewCoalescer(time.Second, 1), time.Unix(0, 0)
	for range 3 {
		c.Begin(now)
		r := s.Record()
		atOnce, _ := c.Report(&r)
		fmt.Println(atOnce)
		now = now.Add(100 * time.Millisecond)
	}
	// Output:
	// true
	// false
	// false
}
