package configdir_test

import (
	"fmt"
	"os"
	"path/filepath"

	"joolctl/configdir"
)

// A directory with one pair, whose netsocket.json has a mistake.
func ExampleCheck() {
	dir, err := os.MkdirTemp("", "joold.d")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	pair := filepath.Join(dir, "blue")
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(pair, name), []byte(text), 0o600); err != nil {
			panic(err)
		}
	}
	if err := os.Mkdir(pair, 0o700); err != nil {
		panic(err)
	}
	write("modsocket.json", `{"instance": "nat"}`)
	write("netsocket.json", `{"multicast address": "ff08::db8:64:64", "multicast port": "6464",
 "in interface": "eth1", "out interface": "eth1", "reuseaddr": 1, "ttl": 1000}`)

	result, err := configdir.Check(dir)
	if err != nil {
		panic(err)
	}
	for _, pair := range result.Pairs {
		for _, p := range pair.Problems {
			fmt.Println(pair.Name, filepath.Base(p.File), p.Line)
		}
	}
	// Output: blue netsocket.json 2
}
