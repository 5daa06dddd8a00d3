// Command bench measures joold beside Jool's own in one virtual machine and
// writes the result into docs/benchmarks.md:
//
//	go run ./e2e/cmd/bench
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"joolctl/e2e"
	"joolctl/e2e/guest"
	"joolctl/e2e/lab"
)

const (
	document = "docs/benchmarks.md"
	// The table stands between these lines of it.
	begin = "<!-- made by make bench -->\n"
	end   = "<!-- end -->\n"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("bench: ")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := bench(ctx); err != nil {
		log.Fatal(err)
	}
}

func bench(ctx context.Context) error {
	old, err := os.ReadFile(document)
	if err != nil {
		return fmt.Errorf("%w; run this in the top directory", err)
	}
	l, err := lab.Prepare(ctx, log.Printf)
	if err != nil {
		return err
	}
	all, err := measure(ctx, l)
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
	fmt.Print("\n", text.String())
	changed, err := replaceTable(string(old), text.String())
	if err != nil {
		return err
	}
	return os.WriteFile(document, []byte(changed), 0o644)
}

// commit names what was measured, as far as git knows.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--exclude=*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// measure runs the rounds in one machine.
func measure(ctx context.Context, l *lab.Lab) ([]guest.Measurement, error) {
	dir, err := os.MkdirTemp("", "joolctl-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	programs, err := e2e.Build(ctx, dir)
	if err != nil {
		return nil, err
	}
	files, err := programs.Run(ctx, l, e2e.Guest{
		Jool:    l.Newest(),
		Purpose: "bench",
		Args:    []string{"-test.v", "-test.run=^TestBench$"},
		Timeout: 8 * time.Minute,
		Stdout:  os.Stderr,

		CountInstructions: true,
	})
	if err != nil {
		return nil, err
	}
	var all []guest.Measurement
	if err := json.Unmarshal(files["measurements.json"], &all); err != nil {
		return nil, fmt.Errorf("the machine's measurements: %w", err)
	}
	if len(all) == 0 {
		return nil, errors.New("the machine made no measurement")
	}
	return all, nil
}

// replaceTable puts a text in the place of the document's table.
func replaceTable(document, text string) (string, error) {
	before, rest, ok := strings.Cut(document, begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return "", fmt.Errorf("the document has no lines %q and %q", begin, end)
	}
	return before + begin + "\n" + text + "\n" + end + after, nil
}
