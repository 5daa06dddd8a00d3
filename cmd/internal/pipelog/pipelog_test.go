package pipelog

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"joolctl/internal/await"
)

// note returns the line about dropped lines.
func note(lines int) []byte { return fmt.Appendf(nil, "lines are missing here lines=%d\n", lines) }

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestInOrder checks that all lines are written, in order, before Close returns.
func TestInOrder(t *testing.T) {
	var got, want bytes.Buffer
	w := New(&got, note)
	for i := range 1000 {
		fmt.Fprintf(w, "line %d\n", i)
		fmt.Fprintf(&want, "line %d\n", i)
	}
	w.Close()
	if got.String() != want.String() {
		t.Errorf("wrote %d bytes, want %d", got.Len(), want.Len())
	}
	fmt.Fprintln(w, "too late")
	if got.String() != want.String() {
		t.Error("wrote after Close")
	}
}

const many = 50_000 // number of lines, far more than a pipe and the queue can store

// flood logs many lines and fails the test if a call has to wait.
func flood(t *testing.T, w *Writer) {
	t.Helper()
	log := slog.New(slog.NewTextHandler(w, nil))
	begin := time.Now()
	var longest time.Duration
	for i := range many {
		one := time.Now()
		log.Warn("something is wrong", "number", i)
		longest = max(longest, time.Since(one))
	}
	t.Logf("%d lines in %v, the longest took %v", many, time.Since(begin), longest)
	if longest > time.Second {
		t.Errorf("a line took %v", longest)
	}
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		w.Close()
	})
	return r, w
}

// TestPipeNobodyReads writes to a pipe without a reader. Logging must not block, and Close must give up.
func TestPipeNobodyReads(t *testing.T) {
	r, to := pipe(t)
	w := New(to, note)
	flood(t, w)
	begin := time.Now()
	w.Close()
	if took := time.Since(begin); took < patience || took > 10*patience {
		t.Errorf("Close took %v", took)
	}
	r.Close() // ends a write that hangs
	<-w.done
}

// TestPipeReadLate reads the pipe late. The log must then report how many lines are missing, and where.
func TestPipeReadLate(t *testing.T) {
	r, to := pipe(t)
	w := New(to, note)
	flood(t, w)
	read := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(r)
		read <- string(b)
	}()
	await.Within(t, 10*time.Second, "the log is written", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.queue) == 0 && w.dropped == 0
	})
	slog.New(slog.NewTextHandler(w, nil)).Warn("afterwards")
	w.Close()
	to.Close()
	text := <-read
	written := strings.Count(text, "is wrong")
	if written == 0 || written == many {
		t.Fatalf("%d of %d lines were written", written, many)
	}
	if want := fmt.Sprintf("lines=%d\n", many-written); strings.Count(text, "missing here") != 1 || !strings.Contains(text, want) {
		t.Errorf("%d of %d lines were written, and the log does not say %q", written, many, want)
	}
	note, after := strings.Index(text, "missing here"), strings.Index(text, "msg=afterwards")
	if last := strings.LastIndex(text, "is wrong"); last > note || note > after {
		t.Errorf("the last written line is at byte %d, the note about the missing lines at %d, and the next line at %d", last, note, after)
	}
}
