package syncwire_test

import (
	"fmt"

	"joolctl/syncwire"
)

// A host requests the live datagrams 3 to 5 of a peer again.
func ExampleMessage() {
	b := syncwire.Message{Sender: 0xdeadbeef, Last: 7, Body: &syncwire.Nack{To: 0x0badcafe, Ranges: []syncwire.Range{{From: 3, To: 5}}}}.Append(nil)
	m, err := syncwire.Parse(b)
	if err != nil {
		panic(err)
	}
	nack := m.Body.(*syncwire.Nack)
	fmt.Printf("%d bytes from %x to %x: %v\n", len(b), uint32(m.Sender), uint32(nack.To), nack.Ranges)
	// Output: 34 bytes from deadbeef to badcafe: [{3 5}]
}
