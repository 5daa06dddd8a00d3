package fdstore_test

import (
	"fmt"
	"log/slog"

	"joolctl/fdstore"
)

// A process that systemd does not manage has no descriptor store. All methods of a nil Store work.
func ExampleStore() {
	store, err := fdstore.OpenFrom(slog.New(slog.DiscardHandler), func(string) string { return "" }, 3)
	if err != nil {
		panic(err)
	}
	_, _, found := store.Take("network socket of blue")
	fmt.Println(store.Passed(), found)
	// Output: 0 false
}
