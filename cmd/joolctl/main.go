//go:build !manpages

// Command joolctl synchronises the session tables of Jool NAT64s. `joolctl up` supervises a directory of pairs; the
// other commands query and control it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"joolctl/timerslack"
)

func main() {
	if supervises(os.Args[1:]) {
		if err := timerslack.Coarsen(); err != nil {
			fmt.Fprintf(os.Stderr, "joolctl: the timer slack can't be set, which costs processor time: %v\n", err)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// supervises reports whether the arguments are those of `joolctl up`.
func supervises(args []string) bool {
	cmd, _, err := newRoot(&program{}).Find(args)
	return err == nil && cmd.Name() == "up"
}
