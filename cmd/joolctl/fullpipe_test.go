package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/internal/await"
)

// fullPipe returns a full pipe.
func fullPipe(t *testing.T) *os.File {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fds[1], true); err != nil {
		t.Fatal(err)
	}
	for _, err := unix.Write(fds[1], make([]byte, 4096)); err != unix.EAGAIN; _, err = unix.Write(fds[1], make([]byte, 4096)) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.SetNonblock(fds[1], false); err != nil {
		t.Fatal(err)
	}
	w := os.NewFile(uintptr(fds[1]), "full pipe")
	t.Cleanup(func() {
		unix.Close(fds[0]) // ends a write that hangs
		w.Close()
	})
	return w
}

// TestFullPipe runs the supervisor with a stderr that nobody reads. The supervisor must answer, apply new files and stop
// in time.
func TestFullPipe(t *testing.T) {
	dir, socket := t.TempDir(), filepath.Join(t.TempDir(), "s")
	writePair(t, dir, "a", "absent")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	code := make(chan int, 1)
	stderr := fullPipe(t)
	go func() { code <- run(ctx, []string{"up", dir, "--socket", socket}, io.Discard, stderr) }()
	await.Within(t, 10*time.Second, "the supervisor answers", func() bool {
		code, _, _ := ran("status", "--socket", socket)
		return code == exitNotWell // the worker waits for the module
	})
	for range 20 { // each writes several lines
		if err := os.WriteFile(filepath.Join(dir, "a.modsocket.json"), []byte("{"), 0o644); err != nil {
			t.Fatal(err)
		}
		if code, _, _ := ran("reload", "--socket", socket); code != exitNotWell {
			t.Fatalf("reload of a bad file ended with %d", code)
		}
		writePair(t, dir, "a", "absent")
		if code, _, said := ran("reload", "--socket", socket); code != exitWell {
			t.Fatalf("reload ended with %d: %s", code, said)
		}
	}
	cancel()
	select {
	case c := <-code:
		if c != exitWell {
			t.Errorf("ended with %d", c)
		}
	case <-time.After(5 * time.Second):
		t.Error("does not stop")
	}
}
