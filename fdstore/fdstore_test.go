package fdstore_test

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/fdstore"
	"joolctl/fdstore/fdstoretest"
	"joolctl/internal/await"
)

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	await.Within(t, 10*time.Second, what, holds)
}

// TestStore stores a pipe and some bytes in one process, and takes them in the next.
func TestStore(t *testing.T) {
	m := fdstoretest.New(t)
	first := m.Open(t, slog.New(slog.DiscardHandler))
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	first.Keep("too/early", "", int(r.Fd()))
	first.Leave()
	first.Keep("pipe/1", "5-0", int(r.Fd()))
	first.Keep("pipe/2", "", int(r.Fd()))
	if err := first.KeepData("counts", []byte("42")); err != nil {
		t.Fatal(err)
	}
	r.Close()
	if _, err := w.WriteString("meanwhile"); err != nil {
		t.Fatal(err)
	}
	want := []string{"joolctl/counts+", "joolctl/pipe/1+5-0", "joolctl/pipe/2+"}
	eventually(t, "all is stored", func() bool { return slices.Equal(m.Names(), want) })
	for _, message := range m.Messages() {
		if !strings.HasSuffix(message, "\nFDPOLL=0") {
			t.Errorf("a socket with an error would be dropped: %q", message)
		}
	}

	next := m.Open(t, slog.New(slog.DiscardHandler))
	if n := next.Passed(); n != 3 {
		t.Errorf("%d were passed on", n)
	}
	eventually(t, "the store is empty", func() bool { return len(m.Names()) == 0 })
	data, err := next.TakeData("counts")
	if err != nil || string(data) != "42" {
		t.Errorf("data %q, %v", data, err)
	}
	fd, detail, ok := next.Take("pipe/1")
	if !ok || detail != "5-0" {
		t.Fatalf("pipe/1: %q, %v", detail, ok)
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("it blocks (%v)", err)
	}
	w.Close()
	again := os.NewFile(uintptr(fd), "pipe")
	defer again.Close()
	if got, err := io.ReadAll(again); err != nil || string(got) != "meanwhile" {
		t.Errorf("read %q, %v", got, err)
	}
	if _, _, ok := next.Take("pipe/1"); ok {
		t.Error("taken twice")
	}
	next.Discard()
	if _, _, ok := next.Take("pipe/2"); ok || next.Passed() != 0 {
		t.Error("taken after it was closed")
	}
}

// TestStoreOfOthers checks that OpenFrom ignores descriptors if LISTEN_PID names another process or is missing,
// or if LISTEN_FDS is malformed.
func TestStoreOfOthers(t *testing.T) {
	for _, variables := range []map[string]string{
		{"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "joolctl/a+"},
		{"LISTEN_FDS": "1", "LISTEN_FDNAMES": "joolctl/a+"},
		{"LISTEN_PID": "self", "LISTEN_FDS": "x", "LISTEN_FDNAMES": "joolctl/a+"},
	} {
		m := fdstoretest.New(t)
		variables["NOTIFY_SOCKET"] = m.Path
		s, err := fdstore.OpenFrom(slog.New(slog.DiscardHandler), func(name string) string { return variables[name] }, 500)
		if err != nil || s.Passed() != 0 || len(m.Messages()) != 0 {
			t.Errorf("%v: %d passed, %q, %v", variables, s.Passed(), m.Messages(), err)
		}
	}
}

// TestNoManager checks that there is no Store without a manager, and that the methods of a nil Store do nothing.
func TestNoManager(t *testing.T) {
	s, err := fdstore.OpenFrom(slog.New(slog.DiscardHandler), func(string) string { return "" }, 500)
	if s != nil || err != nil {
		t.Fatal(s, err)
	}
	s.Leave()
	s.Keep("a", "", 0)
	s.Discard()
	if _, _, ok := s.Take("a"); ok || s.Leaving() || s.Passed() != 0 {
		t.Error("a store that is none holds something")
	}
	if err := s.KeepData("a", nil); err != nil {
		t.Error(err)
	}
}

// TestDeafManager has a manager that reads no messages. Only the first message that finds the queue full waits
// (patience), and the log has one line.
func TestDeafManager(t *testing.T) {
	path := t.TempDir() + "/notify"
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	s, err := fdstore.OpenFrom(slog.New(slog.NewTextHandler(&log, nil)), func(name string) string {
		return map[string]string{"NOTIFY_SOCKET": path}[name]
	}, 500)
	if err != nil {
		t.Fatal(err)
	}
	s.Leave()
	for i := 0; log.Len() == 0; i++ {
		if i > 5000 {
			t.Fatal("a queue of the kernel's without end")
		}
		s.Keep("a", "", 0)
	}
	begin := time.Now()
	s.Keep("a", "", 0)
	s.Keep("a", "", 0)
	if took := time.Since(begin); took > 200*time.Millisecond {
		t.Errorf("waited %v", took)
	}
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d lines in the log: %s", n, &log)
	}
}
