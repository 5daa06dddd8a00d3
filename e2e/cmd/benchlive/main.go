// Command benchlive measures how long a new session takes to the standby's kernel and what that costs, beside C joold, in
// real time, and writes the result into docs/benchmarks.md:
//
//	go run ./e2e/cmd/benchlive
//
// With -rows, -rounds, -traffic or -jool it measures a part, prints it and writes nothing.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"joolctl/e2e"
	"joolctl/e2e/guest"
	"joolctl/e2e/lab"
)

// options are the command line.
type options struct {
	rows, variants, traffic, jool string
	rounds                        int
	verbose                       bool
}

func main() {
	var o options
	flag.StringVar(&o.rows, "rows", "latency,steady,new", "the `rows` to measure, with commas between")
	flag.StringVar(&o.variants, "variants", strings.Join(guest.LiveVariants, ";"), "the `variants` to compare, with semicolons between")
	flag.StringVar(&o.traffic, "traffic", "", "of the row latency only this `traffic`, such as 10/s")
	flag.StringVar(&o.jool, "jool", "", "the `version` of Jool; empty for the newest")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds of each variant")
	flag.BoolVar(&o.verbose, "v", false, "print what each thread of the daemons used")
	flag.Parse()
	e2e.Main("bench-live", func(ctx context.Context, l *lab.Lab, p e2e.Programs) error { return bench(ctx, l, p, o) })
}

func bench(ctx context.Context, l *lab.Lab, programs e2e.Programs, o options) error {
	if o.jool == "" {
		o.jool = l.Newest()
	}
	files, err := programs.Run(ctx, l, e2e.Guest{
		Jool:    o.jool,
		Purpose: "live",
		Args: []string{
			"-test.v", "-test.run=^TestLive$", "-live.rows=" + o.rows, "-live.variants=" + o.variants,
			"-live.traffic=" + o.traffic, fmt.Sprintf("-live.rounds=%d", o.rounds),
		},
		Timeout: 50 * time.Minute,
		Stdout:  os.Stderr,
	})
	if err != nil {
		return err
	}
	var live guest.Live
	if err := json.Unmarshal(files["live.json"], &live); err != nil {
		return fmt.Errorf("the machine's measurements: %w", err)
	}
	writeTable(os.Stdout, live)
	if o.verbose {
		writeThreads(os.Stdout, live)
	}
	return nil
}
