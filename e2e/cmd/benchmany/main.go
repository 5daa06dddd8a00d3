// Command benchmany measures what many pairs cost in one virtual machine,
// beside as many of Jool's own joold, and writes the result into
// docs/benchmarks.md:
//
//	go run ./e2e/cmd/benchmany
package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"joolctl/e2e"
	"joolctl/e2e/guest"
	"joolctl/e2e/lab"
)

func main() { e2e.Main("bench-many", bench) }

func bench(ctx context.Context, l *lab.Lab, programs e2e.Programs) error {
	all, err := e2e.Measure[[]guest.Many](ctx, l, programs, "many", l.Newest(), "TestMany", "many.json")
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
	return e2e.WriteTable(e2e.Benchmarks, "make bench-many", text.String())
}

func writeTable(w io.Writer, all []guest.Many) {
	fmt.Fprintln(w, "| | all run after | idle | resident | of that program text | highest |\n|---|---|---|---|---|---|")
	for _, m := range all {
		fmt.Fprintf(w, "| %s | %.1f s | %.1f M/s | %s | %s | %s |\n", m.Case, m.Started.Seconds(),
			float64(m.Idle)/float64(guest.IdlePeriod)*1000, mega(m.Resident), mega(m.Shared), mega(m.Peak))
	}
}

func mega(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }
