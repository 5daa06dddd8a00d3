//go:build !manpages

// Command joold synchronises one Jool instance with its peers. Its arguments and files are those of upstream's joold.
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
	if err := timerslack.Coarsen(); err != nil {
		fmt.Fprintf(os.Stderr, "joold: the timer slack can't be set, which costs processor time: %v\n", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
