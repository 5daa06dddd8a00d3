//go:build provoke

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
)

// A program with the tag "provoke" is for tests: with JOOLCTL_PANICS=DIR in its environment the worker of a pair panics
// when it logs that a datagram is malformed, once for each file DIR/PID.PAIR.
func init() {
	if dir := os.Getenv("JOOLCTL_PANICS"); dir != "" {
		logTo = func(w io.Writer) io.Writer { return panicking{w, dir} }
	}
}

type panicking struct {
	io.Writer
	dir string
}

var pairOf = regexp.MustCompile(` pair=(\S+)`)

func (p panicking) Write(line []byte) (int, error) {
	if m := pairOf.FindSubmatch(line); m != nil && bytes.Contains(line, []byte("dropped a malformed datagram")) {
		if os.Remove(filepath.Join(p.dir, fmt.Sprintf("%d.%s", os.Getpid(), m[1]))) == nil {
			panic("as a test wants it")
		}
	}
	return p.Writer.Write(line)
}
