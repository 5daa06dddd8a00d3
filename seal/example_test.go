package seal_test

import (
	"fmt"
	"net/netip"
	"time"

	"joolctl/seal"
)

// Two hosts with one key accept each other's runs by greetings, and then exchange sealed datagrams.
func ExampleChannel() {
	keys, now := seal.NewKeys(seal.NewKey(7)), time.Now()
	group := seal.Context{Group: netip.MustParseAddr("ff08::db8:64:64"), Port: 6464}
	a, b := seal.NewChannel(keys, group, now), seal.NewChannel(keys, group, now)

	_, outcome := b.Open(a.Seal(nil, []byte("\x01early"), now), now)
	fmt.Println("before the greetings, opened:", outcome == seal.Opened)
	for range 2 {
		b.Open(a.Greet(nil, now), now)
		a.Open(b.Greet(nil, now), now)
	}
	content, outcome := b.Open(a.Seal(nil, []byte("\x01sessions"), now), now)
	fmt.Printf("then, opened: %v, %q\n", outcome == seal.Opened, content)
	// Output:
	// before the greetings, opened: false
	// then, opened: true, "\x01sessions"
}
