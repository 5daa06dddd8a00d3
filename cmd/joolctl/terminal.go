package main

import (
	"io"
	"os"

	"joolctl/internal/terminal"
)

// coloured reports whether w is a terminal and its user has not disabled colours (no-color.org).
func coloured(w io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && terminal.Is(w)
}
