package joolnl_test

import (
	"fmt"

	"joolctl/joolnl"
)

// The version of the module determines the format of its sessions.
func ExampleVersion() {
	for _, text := range []string{"4.1.9", "4.1.12", "4.1.15"} {
		v, err := joolnl.ParseVersion(text)
		if err != nil {
			panic(err)
		}
		fmt.Println(v, v.Format())
	}
	// Output:
	// 4.1.9 nested (Jool 4.1.0 to 4.1.11)
	// 4.1.12 packed, 52 bytes (Jool 4.1.12)
	// 4.1.15 packed, 40 bytes (Jool 4.1.13 and later)
}
