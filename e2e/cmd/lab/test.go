package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"joolctl/e2e"
	"joolctl/e2e/lab"
)

// guestTest holds the flags of lab test.
type guestTest struct {
	name    string // as in go test's -run: the test's name, and patterns for subtests behind slashes
	suite   string // of the lab; "" is the lab of the host's own kernel
	jool    string
	purpose string
	short   bool
	verbose bool
	count   int
	timeout time.Duration
	out     string
	icount  *bool // nil: as `make ci` has it
}

func test(ctx context.Context, args []string) (int, error) {
	var g guestTest
	flags := flag.NewFlagSet("lab test", flag.ContinueOnError)
	flags.StringVar(&g.name, "run", "", "run this `test`: its whole name, and behind a slash a pattern for subtests")
	flags.StringVar(&g.suite, "suite", "", suiteUsage())
	flags.StringVar(&g.jool, "jool", "", "load this `version` of Jool (default the newest)")
	flags.BoolVar(&g.short, "short", true, "run the short form of tests that have one, as make ci does")
	flags.BoolVar(&g.verbose, "v", false, "print the log of tests that pass, too")
	flags.IntVar(&g.count, "count", 1, "run the test so many times in the same machine")
	flags.DurationVar(&g.timeout, "timeout", 0, "fail after this time (default far more than the test takes)")
	flags.StringVar(&g.out, "out", "", "write the files of the machine's /out to this `directory`")
	flags.BoolFunc("icount", "make executed instructions the machine's clock, or not (default as make ci does)", func(s string) error {
		on := s == "true"
		g.icount = &on
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return badFlags(err)
	}
	if flags.NArg() > 0 {
		return 2, errUsage
	}
	if err := g.findPurpose(ctx); err != nil {
		return 2, err
	}
	return exitStatus(e2e.Prepared(ctx, g.suite, g.run))
}

// findPurpose looks into the sources of the guest's tests.
func (g *guestTest) findPurpose(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", "joolctl/e2e/guest").Output()
	if err != nil {
		return fmt.Errorf("looking for the guest's tests: %w; run this in the module", err)
	}
	tests, err := e2e.GuestTests(strings.TrimSpace(string(out)))
	if err != nil {
		return err
	}
	name, _, _ := strings.Cut(g.name, "/")
	g.purpose, err = e2e.PurposeOf(tests, name)
	return err
}

func (g *guestTest) run(ctx context.Context, l *lab.Lab, programs e2e.Programs) error {
	if g.jool == "" {
		g.jool = l.Newest()
	}
	m, err := e2e.GuestFor(l, g.purpose, g.jool, g.short)
	if err != nil {
		return err
	}
	g.adjust(&m)
	files, err := programs.Run(ctx, l, m)
	if g.out != "" {
		err = errors.Join(err, writeFiles(g.out, files))
	}
	return err
}

// adjust applies the flags to the machine of `make ci`.
func (g *guestTest) adjust(m *e2e.Guest) {
	name, sub, _ := strings.Cut(g.name, "/")
	pattern := "^" + name + "$"
	if sub != "" {
		pattern += "/" + sub
	}
	m.Args = append(m.Args, "-test.run="+pattern, fmt.Sprintf("-test.count=%d", g.count))
	if g.verbose {
		m.Args = append(m.Args, "-test.v")
	}
	m.Timeout *= time.Duration(max(1, g.count))
	if g.timeout > 0 {
		m.Timeout = g.timeout
	}
	if g.icount != nil {
		m.CountInstructions = *g.icount
	}
	m.Stdout = os.Stdout
}

// exitStatus is that of the machine's command where that failed and nothing else did.
func exitStatus(err error) (int, error) {
	if exit, ok := err.(*e2e.ExitError); ok {
		return exit.Status, nil
	}
	if err != nil {
		return 1, err
	}
	return 0, nil
}
