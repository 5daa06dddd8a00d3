// Command benchstandby measures what a standby comes to hold, with ours and
// with Jool's own joold, on the newest and the oldest Jool, and writes the
// result into docs/benchmarks.md:
//
//	go run ./e2e/cmd/benchstandby
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"joolctl/e2e"
	"joolctl/e2e/guest"
	"joolctl/e2e/lab"
)

func main() { e2e.Main("bench-standby", bench) }

func bench(ctx context.Context, l *lab.Lab, programs e2e.Programs) error {
	var text strings.Builder
	for _, version := range slices.Compact([]string{l.Newest(), l.Oldest()}) {
		files, err := programs.Run(ctx, l, e2e.Guest{
			Jool:      version,
			Purpose:   "standby",
			Args:      []string{"-test.v", "-test.run=^TestStandbyBench$"},
			Timeout:   40 * time.Minute,
			Stdout:    os.Stderr,
			MemoryMiB: 6144,

			CountInstructions: true,
		})
		if err != nil {
			return err
		}
		var rows []guest.StandbyRow
		if err := json.Unmarshal(files["standby.json"], &rows); err != nil {
			return fmt.Errorf("the machine's measurements: %w", err)
		}
		fmt.Fprintf(&text, "Jool %s on both hosts:\n\n| | C joold | ours |\n|---|---|---|\n", version)
		for _, r := range rows {
			fmt.Fprintf(&text, "| %s | %s | %s |\n", r.What, r.Upstream, r.Ours)
		}
		text.WriteString("\n")
	}
	fmt.Print("\n", text.String())
	return e2e.WriteTable(e2e.Benchmarks, "make bench-standby", text.String())
}
