// Command benchlive measures how long a new session takes to the standby's kernel and what that costs, beside C joold, in
// real time, and writes the result into docs/benchmarks.md:
//
//	go run ./e2e/cmd/benchlive
//
// With any of its flags but -v it measures a part, prints it and writes nothing.
package main

import (
	"context"
	"flag"
	"os"
	"strings"

	"joolctl/e2e"
	"joolctl/e2e/guest"
	"joolctl/e2e/lab"
)

func main() {
	o := e2e.LiveOptions{Stdout: os.Stderr, Args: []string{"-test.v"}}
	rows := flag.String("rows", "latency,steady,new,crash", "the `rows` to measure, with commas between")
	variants := flag.String("variants", strings.Join(guest.LiveVariants, ";"), "the `variants` to compare, with semicolons between")
	flag.StringVar(&o.Traffic, "traffic", "", "of the row latency only this `traffic`, such as 10/s")
	flag.StringVar(&o.Jool, "jool", "", "the `version` of Jool; empty for the newest")
	flag.IntVar(&o.Rounds, "rounds", 3, "rounds of each variant")
	flag.IntVar(&o.Crashes, "crashes", 10, "crashes of joolctl at each rate; C joold has 3 of them at most")
	verbose := flag.Bool("v", false, "print what each thread of the daemons used")
	flag.Parse()
	o.Rows, o.Variants = strings.Split(*rows, ","), strings.Split(*variants, ";")
	e2e.Main("bench-live", func(ctx context.Context, l *lab.Lab, p e2e.Programs) error { return bench(ctx, l, p, o, *verbose) })
}

func bench(ctx context.Context, l *lab.Lab, programs e2e.Programs, o e2e.LiveOptions, verbose bool) error {
	if o.Jool == "" {
		o.Jool = l.Newest()
	}
	live, err := programs.RunLive(ctx, l, o)
	if err != nil {
		return err
	}
	writeTable(os.Stdout, live)
	if verbose {
		writeThreads(os.Stdout, live)
	}
	return nil
}
