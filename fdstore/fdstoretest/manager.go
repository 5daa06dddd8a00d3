// Package fdstoretest is a service manager with a descriptor store, for tests of packages that store
// descriptors.
package fdstoretest

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/fdstore"
)

// Manager receives sd_notify(3) messages on a Unix socket and stores their descriptors as systemd does.
type Manager struct {
	Path string

	mu       sync.Mutex
	messages []string
	stored   []stored
	done     chan struct{}
}

type stored struct {
	name string
	file *os.File
}

// New starts a Manager that runs until the end of the test.
func New(t testing.TB) *Manager {
	t.Helper()
	m := &Manager{Path: filepath.Join(t.TempDir(), "notify"), done: make(chan struct{})}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.Path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	go m.serve(c)
	t.Cleanup(func() {
		c.Close()
		<-m.done
		for _, s := range m.stored {
			s.file.Close()
		}
	})
	return m
}

func (m *Manager) serve(c *net.UnixConn) {
	defer close(m.done)
	text, rights := make([]byte, 4096), make([]byte, unix.CmsgSpace(253*4))
	for {
		n, rn, _, _, err := c.ReadMsgUnix(text, rights)
		if err != nil {
			return
		}
		m.take(string(text[:n]), files(rights[:rn]))
	}
}

func files(rights []byte) (list []*os.File) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			list = append(list, os.NewFile(uintptr(fd), "stored"))
		}
	}
	return list
}

func (m *Manager) take(message string, files []*os.File) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.messages = append(m.messages, message)
	lines := strings.Split(message, "\n")
	name := ""
	for _, line := range lines {
		if after, ok := strings.CutPrefix(line, "FDNAME="); ok {
			name = after
		}
	}
	switch {
	case slices.Contains(lines, "FDSTORE=1"):
		for _, f := range files {
			m.stored = append(m.stored, stored{name, f})
		}
	case slices.Contains(lines, "FDSTOREREMOVE=1"):
		m.stored = slices.DeleteFunc(m.stored, func(s stored) bool {
			if s.name != name {
				return false
			}
			s.file.Close()
			return true
		})
	}
}

// Messages returns the messages received so far, in order of arrival.
func (m *Manager) Messages() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.messages)
}

// Names returns the names of the stored descriptors, sorted.
func (m *Manager) Names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := make([]string, 0, len(m.stored))
	for _, s := range m.stored {
		names = append(names, s.name)
	}
	slices.Sort(names)
	return names
}

// Await waits until n descriptors are stored. A message may still be in the socket's queue after its sender has
// ended.
func (m *Manager) Await(t testing.TB, n int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); len(m.Names()) != n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("stored are %q, want %d", m.Names(), n)
		}
	}
}

// Pass returns the stored files and the environment variables for another process, which gets the files as
// descriptors from 3 on. The process itself must set LISTEN_PID.
func (m *Manager) Pass() (files []*os.File, variables []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := make([]string, len(m.stored))
	for i, s := range m.stored {
		names[i] = s.name
		files = append(files, s.file)
	}
	return files, []string{
		"NOTIFY_SOCKET=" + m.Path, fmt.Sprintf("LISTEN_FDS=%d", len(names)), "LISTEN_FDNAMES=" + strings.Join(names, ":"),
	}
}

// firstFD is the number of the first descriptor that Open passes inside the test's own process.
const firstFD = 500

// Open returns the Store of the service's next process. Stores of one test process share the descriptor numbers,
// so all descriptors of one Store must be taken or discarded before the next Open.
func (m *Manager) Open(t testing.TB, log *slog.Logger) *fdstore.Store {
	t.Helper()
	m.mu.Lock()
	names := make([]string, len(m.stored))
	for i, s := range m.stored {
		names[i] = s.name
		if err := unix.Dup3(int(s.file.Fd()), firstFD+i, unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
	}
	m.mu.Unlock()
	variables := map[string]string{
		"NOTIFY_SOCKET": m.Path, "LISTEN_PID": fmt.Sprint(os.Getpid()),
		"LISTEN_FDS": fmt.Sprint(len(names)), "LISTEN_FDNAMES": strings.Join(names, ":"),
	}
	s, err := fdstore.OpenFrom(log, func(name string) string { return variables[name] }, firstFD)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Discard)
	return s
}
