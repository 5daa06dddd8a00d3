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
	"log"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"joolctl/e2e"
	"joolctl/e2e/guest"
	"joolctl/e2e/lab"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("bench-standby: ")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := bench(ctx); err != nil {
		log.Fatal(err)
	}
}

func bench(ctx context.Context) error {
	l, err := lab.Prepare(ctx, log.Printf)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "joolctl-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	programs, err := e2e.Build(ctx, dir)
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, version := range slices.Compact([]string{l.Newest(), l.Oldest()}) {
		files, err := programs.Run(ctx, l, e2e.Guest{
			Jool:      version,
			Purpose:   "standby",
			Args:      []string{"-test.v", "-test.run=^TestStandbyBench$"},
			Timeout:   20 * time.Minute,
			Stdout:    os.Stderr,
			MemoryMiB: 3072,
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
	return e2e.WriteTable("make bench-standby", text.String())
}
