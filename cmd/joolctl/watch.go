package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"joolctl/internal/terminal"
)

// clear moves a terminal's cursor to the first position and clears the screen below it.
const clear = "\x1b[H\x1b[J"

// watchStatus shows the status periodically until it is interrupted or the supervisor no longer answers.
func (p *program) watchStatus(ctx context.Context, output string, show func(io.Writer) error) error {
	for first := true; ; first = false {
		var screen bytes.Buffer
		err := show(&screen)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !errors.Is(err, errNotWell) {
			return err
		}
		switch {
		case terminal.Is(p.stdout) && output != "json":
			fmt.Fprint(p.stdout, clear)
		case !first && output != "json":
			fmt.Fprintln(p.stdout)
		}
		if _, err := p.stdout.Write(screen.Bytes()); err != nil {
			return failed{err}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchPeriod):
		}
	}
}
