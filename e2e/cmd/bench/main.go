// Command bench measures joold beside Jool's own in one virtual machine and
// writes the result into docs/benchmarks.md:
//
//	go run ./e2e/cmd/bench
package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"

	"joolctl/e2e"
	"joolctl/e2e/guest"
	"joolctl/e2e/lab"
)

func main() { e2e.Main("bench", bench) }

func bench(ctx context.Context, l *lab.Lab, programs e2e.Programs) error {
	all, err := e2e.Measure[[]guest.Measurement](ctx, l, programs, "bench", l.Newest(), "TestBench", "measurements.json")
	if err != nil {
		return err
	}
	kernel, err := l.KernelRelease()
	if err != nil {
		return err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "Commit %s, Jool %s, Linux %s, %d sessions, %d rounds of each.\n\n", commit(), l.Newest(), kernel, all[0].Opened-1, len(all)/2)
	writeTable(&text, all)
	return e2e.WriteTable(e2e.Benchmarks, "make bench", text.String())
}

// commit names what was measured, as far as git knows.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--exclude=*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
