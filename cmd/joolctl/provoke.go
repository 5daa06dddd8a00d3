//go:build provoke

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
)

// A program with the tag "provoke" is for tests. If JOOLCTL_PANICS=DIR is in its environment, the worker of a pair
// panics when it logs that a datagram is malformed, once for each file DIR/PID.PAIR.
func init() {
	if dir := os.Getenv("JOOLCTL_PANICS"); dir != "" {
		logTo = func(h slog.Handler) slog.Handler { return panicking{h, dir, ""} }
	}
}

type panicking struct {
	slog.Handler
	dir, pair string
}

func (p panicking) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		if a.Key == "pair" {
			p.pair = a.Value.String()
		}
	}
	p.Handler = p.Handler.WithAttrs(attrs)
	return p
}

func (p panicking) Handle(ctx context.Context, r slog.Record) error {
	if p.pair != "" && r.Message == "dropped a malformed datagram" && os.Remove(filepath.Join(p.dir, fmt.Sprintf("%d.%s", os.Getpid(), p.pair))) == nil {
		panic("as a test wants it")
	}
	return p.Handler.Handle(ctx, r)
}
