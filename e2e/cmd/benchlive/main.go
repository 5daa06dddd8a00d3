// Command benchlive compares joolctl with C joold in real time: the latency of new sessions to the standby's kernel,
// connections that survive a crash, and the daemons' processor time. It writes the result into docs/benchmarks.md:
//
//	go run ./e2e/cmd/benchlive
//
// It fails if joolctl breaks a bound. With any flag it prints the result and leaves the document alone.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"joolctl/e2e"
	"joolctl/e2e/guest"
	"joolctl/e2e/lab"
	"joolctl/internal/hostload"
)

func main() {
	o := e2e.LiveOptions{Stdout: os.Stderr, Args: []string{"-test.v"}}
	rows := flag.String("rows", "latency,steady,new,crash", "the `rows` to measure, with commas between")
	variants := flag.String("variants", strings.Join(guest.LiveVariants, ";"), "the `variants` to compare, with semicolons between")
	traffic := flag.String("traffic", "", "of the row latency only this `traffic`, such as 1/s,10/s")
	flag.StringVar(&o.Jool, "jool", "", "the `version` of Jool; empty for the newest")
	flag.IntVar(&o.Rounds, "rounds", 3, "rounds of each variant")
	flag.IntVar(&o.Crashes, "crashes", 10, "crashes of joolctl at each rate; C joold has 3 of them at most")
	flag.Parse()
	o.Rows, o.Variants = strings.Split(*rows, ","), strings.Split(*variants, ";")
	if *traffic != "" {
		o.Traffic = strings.Split(*traffic, ",")
	}
	e2e.Main("bench-live", func(ctx context.Context, l *lab.Lab, p e2e.Programs) error {
		b := bench{lab: l, programs: p}
		var err error
		if b.load, err = hostload.Start(); err != nil {
			return err
		}
		if flag.NFlag() > 0 {
			return b.part(ctx, o)
		}
		return b.whole(ctx, o)
	})
}

type bench struct {
	lab      *lab.Lab
	programs e2e.Programs
	load     hostload.Measurement
	others   float64    // share of the host's processors that other programs used
	measured []measured // one for each version of Jool
	keyed    []measured // joolctl with a key and without
	broken   []string   // descriptions of broken bounds
}

// part measures the rows of the options and prints the result.
func (b *bench) part(ctx context.Context, o e2e.LiveOptions) error {
	if o.Jool == "" {
		o.Jool = b.lab.Newest()
	}
	if err := b.run(ctx, o); err != nil {
		return err
	}
	_, err := b.text()
	return errors.Join(err, b.judge())
}

// whole measures all rows on the newest Jool, then the rows for one machine on older versions, then joolctl with a key beside joolctl
// without one. It writes the tables into the document.
func (b *bench) whole(ctx context.Context, o e2e.LiveOptions) error {
	versions := b.lab.Versions() // oldest first
	slices.Reverse(versions)
	for i, version := range versions {
		o.Jool = version
		if i > 0 {
			o.Rows, o.Traffic = guest.LiveRows, []string{"1/s", "10/s", guest.LiveBurst}
		}
		if err := b.run(ctx, o); err != nil {
			return err
		}
	}
	o.Jool, o.Variants, o.Traffic = b.lab.Newest(), []string{guest.LiveOurs, guest.LiveKeyed}, []string{"10/s", "100/s"}
	if err := b.run(ctx, o); err != nil {
		return err
	}
	text, err := b.text()
	if err != nil {
		return err
	}
	return errors.Join(e2e.WriteTable(e2e.Benchmarks, "make bench-live", text), b.judge())
}

// text is the result.
func (b *bench) text() (string, error) {
	kernel, err := b.lab.KernelRelease()
	if err != nil {
		return "", err
	}
	if b.others, err = b.load.Others(0); err != nil {
		return "", err
	}
	return fmt.Sprintf("Linux %s. Other programs used %.0f %% of the host's processors.\n\n%s", kernel, 100*b.others, tables(b.measured, b.keyed)), nil
}

func (b *bench) run(ctx context.Context, o e2e.LiveOptions) error {
	live, err := b.programs.RunLive(ctx, b.lab, o)
	if err != nil {
		return fmt.Errorf("Jool %s: %w", o.Jool, err)
	}
	if m := (measured{o.Jool, live}); slices.Contains(o.Variants, guest.LiveKeyed) {
		b.keyed = append(b.keyed, m)
	} else {
		b.measured = append(b.measured, m)
	}
	bounds := e2e.OlderBounds
	if o.Jool == b.lab.Newest() {
		bounds = e2e.NewestBounds
	}
	for _, broken := range bounds.Broken(live) {
		b.broken = append(b.broken, fmt.Sprintf("Jool %s: %s", o.Jool, broken))
	}
	return nil
}

// judge returns an error if joolctl has broken a bound.
func (b *bench) judge() error {
	if len(b.broken) == 0 {
		return nil
	}
	return fmt.Errorf("joolctl broke bounds, while other programs used %.0f %% of the host's processors:\n%s", 100*b.others, strings.Join(b.broken, "\n"))
}
