// Command benchtune compares other values of the settings that "tune ss" sets, and measures the cost of a change of the
// settings. It writes the result into docs/benchmarks.md:
//
//	go run ./e2e/cmd/benchtune
//
// With -rows it prints the result and does not change the document.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"

	"joolctl/e2e"
	"joolctl/e2e/guest"
	"joolctl/e2e/lab"
)

func main() {
	rows := flag.String("rows", "", "the `rows` to measure, with commas between: "+strings.Join(guest.TuneRows, ",")+"; empty for all")
	flag.Parse()
	e2e.Main("bench-tune", func(ctx context.Context, l *lab.Lab, p e2e.Programs) error { return bench(ctx, l, p, *rows) })
}

func bench(ctx context.Context, l *lab.Lab, p e2e.Programs, rows string) error {
	all, err := measure(ctx, l, p, rows)
	if err != nil {
		return err
	}
	kernel, err := l.KernelRelease()
	if err != nil {
		return err
	}
	text := fmt.Sprintf("Jool %s, Linux %s.\n\n", l.Newest(), kernel) + tables(all)
	fmt.Print("\n", text)
	if rows != "" {
		return nil
	}
	return e2e.WriteTable(e2e.Benchmarks, "make bench-tune", text)
}

// measure runs the rows in one machine.
func measure(ctx context.Context, l *lab.Lab, p e2e.Programs, rows string) (all guest.Tune, err error) {
	g, err := e2e.GuestFor(l, "tune", l.Newest(), false)
	if err != nil {
		return all, err
	}
	g.Args = append(g.Args, "-test.v", "-test.run=^TestTune$")
	if rows != "" {
		g.Args = append(g.Args, "-tune.rows="+rows)
	}
	g.Stdout = os.Stderr
	files, err := p.Run(ctx, l, g)
	if err != nil {
		return all, err
	}
	if err := json.Unmarshal(files["tune.json"], &all); err != nil {
		return all, fmt.Errorf("the machine's measurements: %w", err)
	}
	return all, nil
}
