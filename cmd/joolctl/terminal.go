package main

import (
	"io"
	"os"

	"joolctl/internal/terminal"
)

// coloured is true on a terminal whose user has not said no (no-color.org).
func coloured(w io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && terminal.Is(w)
}
