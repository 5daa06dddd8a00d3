// Command soak has random faults befall three hosts with five instances each, in a
// virtual machine, compares all session tables, and writes what it came to into
// docs/reliability.md. The same seed makes the same faults:
//
//	go run ./e2e/cmd/soak -minutes 10 -seed 1 -jool 4.1.15
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"joolctl/e2e"
	"joolctl/e2e/guest"
	"joolctl/e2e/lab"
)

func main() {
	minutes := flag.Int("minutes", 10, "how long faults are made, from 1 to 100")
	seed := flag.Uint64("seed", uint64(rand.Uint32()), "what the faults are derived from")
	jool := flag.String("jool", "", "the version of Jool; empty for the newest")
	flag.Parse()
	if *minutes < 1 || *minutes > 100 {
		fmt.Fprintln(os.Stderr, "soak: -minutes takes 1 to 100: a longer one runs out of ports")
		os.Exit(2)
	}
	e2e.Main("soak", func(ctx context.Context, l *lab.Lab, p e2e.Programs) error {
		if *jool == "" {
			*jool = l.Newest()
		}
		return soak(ctx, l, p, *jool, *minutes, *seed)
	})
}

func soak(ctx context.Context, l *lab.Lab, programs e2e.Programs, version string, minutes int, seed uint64) error {
	again := fmt.Sprintf("go run ./e2e/cmd/soak -seed %d -minutes %d -jool %s", seed, minutes, version)
	fmt.Fprintf(os.Stderr, "seed %d\n", seed)
	files, err := programs.Run(ctx, l, e2e.SoakGuest(version, minutes, seed, os.Stderr))
	if err != nil {
		return fmt.Errorf("%w\nseed %d; the same faults again: %s", err, seed, again)
	}
	var r guest.SoakReport
	if err := json.Unmarshal(files["soak.json"], &r); err != nil {
		return errors.Join(fmt.Errorf("the machine's measurements: %w", err), errors.New(again))
	}
	text := summary(r, again)
	return e2e.WriteTable(e2e.Reliability, "make soak", text)
}

func summary(r guest.SoakReport, again string) string {
	text := fmt.Sprintf(`Jool %s, seed %d, %v: %d faults of %d kinds; %d sessions opened; %d tables compared with the active side's, %d sessions in all, nothing
missing and nothing different; %d workers started again, each by a fault that concerned it. `+"`%s`\n\n", r.Jool, r.Seed, r.Took.Round(time.Second), r.Faults, r.Kinds,
		r.Opened, r.Comparisons, r.Compared, r.Restarts, again)
	text += "| | goroutines | descriptors | threads | KiB resident |\n|---|---|---|---|---|\n"
	for h, u := range r.Hosts {
		text += fmt.Sprintf("| host %d, first → last third | %d → %d | %d → %d | %d → %d | %d → %d |\n", h,
			u.First.Goroutines, u.Last.Goroutines, u.First.Descriptors, u.Last.Descriptors,
			u.First.Threads, u.Last.Threads, u.First.ResidentKiB, u.Last.ResidentKiB)
	}
	return text
}
