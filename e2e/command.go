package e2e

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"

	"joolctl/e2e/lab"
	"joolctl/internal/terminal"
)

// Main is the main function of a command that runs machines: it prepares the
// lab and the programs, calls run and exits. SIGINT and SIGTERM end ctx.
func Main(name string, run func(ctx context.Context, l *lab.Lab, p Programs) error) {
	log.SetFlags(0)
	log.SetPrefix(name + ": ")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := Prepared(ctx, "", run)
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

// PrepareLab prepares the lab of a Debian suite, or the lab of the host's own kernel if none is named.
func PrepareLab(ctx context.Context, suite string) (*lab.Lab, error) {
	var s steps
	defer s.end()
	if suite == "" {
		return lab.Prepare(ctx, s.logf)
	}
	return lab.PrepareSuite(ctx, s.logf, suite)
}

// steps logs the steps of long work, and shows on a terminal how long the present one has taken.
type steps struct{ stop func() }

func (s *steps) logf(format string, args ...any) {
	s.end()
	log.Printf(format, args...)
	s.stop = terminal.Tick(os.Stderr, log.Prefix()+"…")
}

func (s *steps) end() {
	if s.stop != nil {
		s.stop()
	}
}

// Prepared calls run with the lab of [PrepareLab] and the programs, which it prepares and builds.
func Prepared(ctx context.Context, suite string, run func(context.Context, *lab.Lab, Programs) error) error {
	l, err := PrepareLab(ctx, suite)
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
