// Command chaos has everything go wrong that can be made to, in a virtual
// machine with the newest Jool: with ours, and with Jool's own joold. It writes
// what became of the sessions into docs/reliability.md:
//
//	go run ./e2e/cmd/chaos
package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"joolctl/e2e"
	"joolctl/e2e/guest"
	"joolctl/e2e/lab"
)

func main() { e2e.Main("chaos", chaos) }

func chaos(ctx context.Context, l *lab.Lab, programs e2e.Programs) error {
	// A fault that does not heal is told in the table too.
	rows, failed := e2e.Measure[[]guest.ChaosRow](ctx, l, programs, "chaos", l.Newest(), "TestChaos", "chaos.json")
	if rows == nil {
		return failed
	}
	text := table(l.Newest(), rows)
	return errors.Join(e2e.WriteTable(e2e.Reliability, "make chaos", text), failed)
}

func table(version string, rows []guest.ChaosRow) string {
	var text strings.Builder
	fmt.Fprintf(&text, "Jool %s.\n\n", version)
	text.WriteString("| fault | opened meanwhile | ours: new sessions cross again | old ones | C joold: new sessions | old ones |\n|---|---|---|---|---|---|\n")
	for _, r := range rows {
		upstreamNew, upstreamOld := "—", "—"
		if r.Upstream != nil {
			upstreamNew, upstreamOld = cells(*r.Upstream)
		}
		oursNew, oursOld := cells(r.Ours)
		fmt.Fprintf(&text, "| %s | %d | %s | %s | %s | %s |\n", r.Fault, r.Ours.Opened, oursNew, oursOld, upstreamNew, upstreamOld)
	}
	return text.String()
}

// cells returns the cells of the table for a result.
func cells(r guest.ChaosResult) (crosses, old string) {
	crosses, old = "never", fmt.Sprintf("all, within %.1f s", r.OldAfter.Seconds())
	if r.Crosses {
		crosses = fmt.Sprintf("%.2f s", r.After.Seconds())
	}
	if r.Missing > 0 {
		old = fmt.Sprintf("%d missing", r.Missing)
	}
	return crosses, old
}
