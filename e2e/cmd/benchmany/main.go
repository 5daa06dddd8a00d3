// Command benchmany measures what many pairs cost in one virtual machine,
// beside as many of Jool's own joold, and writes the result into
// docs/benchmarks.md:
//
//	go run ./e2e/cmd/benchmany
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"joolctl/e2e"
	"joolctl/e2e/guest"
	"joolctl/e2e/lab"
)

func main() { e2e.Main("bench-many", bench) }

func bench(ctx context.Context, l *lab.Lab, programs e2e.Programs) error {
	all, err := measure(ctx, l, programs)
	if err != nil {
		return err
	}
	kernel, err := l.KernelRelease()
	if err != nil {
		return err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "Jool %s, Linux %s.\n\n", l.Newest(), kernel)
	writeTable(&text, all)
	fmt.Print("\n", text.String())
	return e2e.WriteTable(e2e.Benchmarks, "make bench-many", text.String())
}

// measure runs everything in one machine.
func measure(ctx context.Context, l *lab.Lab, programs e2e.Programs) ([]guest.Many, error) {
	files, err := programs.RunLong(ctx, l, "many", l.Newest(), "TestMany")
	if err != nil {
		return nil, err
	}
	var all []guest.Many
	if err := json.Unmarshal(files["many.json"], &all); err != nil {
		return nil, fmt.Errorf("the machine's measurements: %w", err)
	}
	if len(all) == 0 {
		return nil, errors.New("the machine made no measurement")
	}
	return all, nil
}

func writeTable(w io.Writer, all []guest.Many) {
	fmt.Fprintln(w, "| | all run after | idle | resident | of that program text | highest |\n|---|---|---|---|---|---|")
	for _, m := range all {
		fmt.Fprintf(w, "| %s | %.1f s | %.1f M/s | %s | %s | %s |\n", m.Case, m.Started.Seconds(),
			float64(m.Idle)/float64(guest.IdlePeriod)*1000, mega(m.Resident), mega(m.Shared), mega(m.Peak))
	}
}

func mega(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }
