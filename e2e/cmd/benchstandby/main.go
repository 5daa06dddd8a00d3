// Command benchstandby measures the table of a standby, with joolctl and with Jool's own joold, on the newest and the
// oldest Jool, and writes the result into docs/benchmarks.md:
//
//	go run ./e2e/cmd/benchstandby
package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"joolctl/e2e"
	"joolctl/e2e/guest"
	"joolctl/e2e/lab"
)

func main() { e2e.Main("bench-standby", bench) }

func bench(ctx context.Context, l *lab.Lab, programs e2e.Programs) error {
	var rows []guest.StandbyRow
	for _, version := range slices.Compact([]string{l.Newest(), l.Oldest()}) {
		measured, err := e2e.Measure[[]guest.StandbyRow](ctx, l, programs, "standby", version, "TestStandbyBench", "standby.json")
		if err != nil {
			return err
		}
		for _, r := range measured {
			r.Jool = version
			rows = append(rows, r)
		}
	}
	for _, h := range e2e.OldAndNew(l) {
		r, err := hosts(ctx, l, programs, h)
		if err != nil {
			return err
		}
		rows = append(rows, r)
	}
	var text strings.Builder
	text.WriteString("| Jool | | C joold | ours |\n|---|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&text, "| %s | %s | %s | %s |\n", r.Jool, r.What, r.Upstream, r.Ours)
	}
	return e2e.WriteTable(e2e.Benchmarks, "make bench-standby", text.String())
}

// hosts measures what a standby gets that has another version of Jool.
func hosts(ctx context.Context, l *lab.Lab, programs e2e.Programs, h e2e.Hosts) (guest.StandbyRow, error) {
	r := guest.StandbyRow{
		Jool: h.Active + ", the standby " + h.Standby,
		What: "4000 sessions live, then a cold standby: equal field by field",
	}
	for _, m := range []struct {
		upstream bool
		to       *string
	}{{true, &r.Upstream}, {false, &r.Ours}} {
		h.Upstream = m.upstream
		tables, err := programs.RunHosts(ctx, l, h, os.Stderr)
		if err != nil {
			return r, err
		}
		*m.to = fmt.Sprintf("%d of %d live, %d after the cold start",
			tables.Active.Equal(tables.Live), len(tables.Active.Sessions), tables.Active.Equal(tables.Cold))
	}
	return r, nil
}
