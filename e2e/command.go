package e2e

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"

	"joolctl/e2e/lab"
)

// Main is the main function of a command that runs machines: it prepares the
// lab and the programs, calls run and exits. SIGINT and SIGTERM end ctx.
func Main(name string, run func(ctx context.Context, l *lab.Lab, p Programs) error) {
	log.SetFlags(0)
	log.SetPrefix(name + ": ")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := Prepared(ctx, run)
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

// Prepared calls run with the lab and the programs, which it prepares and builds.
func Prepared(ctx context.Context, run func(context.Context, *lab.Lab, Programs) error) error {
	l, err := lab.Prepare(ctx, log.Printf)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "joolctl-e2e-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	programs, err := Build(ctx, dir)
	if err != nil {
		return err
	}
	return run(ctx, l, programs)
}
