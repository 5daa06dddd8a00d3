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
	"log"
	"os"
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
	begin = "<!-- made by make bench-many -->\n"
	end   = "<!-- end of bench-many -->\n"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("bench-many: ")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := bench(ctx); err != nil {
		log.Fatal(err)
	}
}

func bench(ctx context.Context) error {
	if _, err := os.Stat(document); err != nil {
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
	fmt.Fprintf(&text, "Jool %s, Linux %s.\n\n", l.Newest(), kernel)
	writeTable(&text, all)
	fmt.Print("\n", text.String())
	old, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(old), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("the document has no lines %q and %q", begin, end)
	}
	return os.WriteFile(document, []byte(before+begin+"\n"+text.String()+"\n"+end+after), 0o644)
}

// measure runs everything in one machine.
func measure(ctx context.Context, l *lab.Lab) ([]guest.Many, error) {
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
		Jool:      l.Newest(),
		Purpose:   "many",
		Args:      []string{"-test.v", "-test.run=^TestMany$"},
		Timeout:   20 * time.Minute,
		Stdout:    os.Stderr,
		MemoryMiB: 3072,
	})
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
	fmt.Fprintln(w, "| | all run after | resident | of that program text | highest |\n|---|---|---|---|---|")
	for _, m := range all {
		fmt.Fprintf(w, "| %s | %.1f s | %s | %s | %s |\n", m.Case, m.Started.Seconds(),
			mega(m.Resident), mega(m.Shared), mega(m.Peak))
	}
}

func mega(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }
