//go:build manpages

// With the tag "manpages", this program writes joolctl-joold(8): go run -tags manpages ./cmd/joold DIR
package main

import (
	"fmt"
	"io"
	"os"

	"joolctl/cmd/internal/manual"
)

func main() {
	book, err := manual.New(os.Args[1])
	if err == nil {
		err = book.Joold(newCommand(io.Discard))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
