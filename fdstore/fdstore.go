// Package fdstore passes open descriptors to the next process of the service through the service manager:
// systemd's descriptor store (FDSTORE=1 in sd_notify(3)).
//
// The next process removes all its descriptors from the store when it starts. Otherwise the store would keep
// kernel objects alive after this process has closed them: a deleted namespace, or the membership in a multicast
// group.
package fdstore

import (
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// firstFD is the number of the first descriptor that the manager passes (sd_listen_fds(3)).
	firstFD = 3
	// patience bounds how long a message waits for room in the manager's receive queue.
	patience = 250 * time.Millisecond
	// mark is the first part of the name of every descriptor that this package stores.
	mark = "joolctl"
	// longest is the length in bytes of the longest descriptor name that the manager accepts.
	longest = 255
)

// Store is the manager's descriptor store for this service. A nil Store belongs to a process without a manager:
// it is empty, and its methods store nothing.
type Store struct {
	log     *slog.Logger
	fd      int
	manager unix.Sockaddr
	deaf    atomic.Bool

	mu       sync.Mutex
	passed   map[string]passed
	leaving  bool
	troubled bool
}

// passed is a descriptor that the previous process stored. It stays open until Take or Discard.
type passed struct {
	fd     int
	detail string
}

// Open returns the Store with the descriptors of the previous process. It returns nil and no error if the
// environment has no NOTIFY_SOCKET, that is without a manager.
func Open(log *slog.Logger) (*Store, error) { return OpenFrom(log, os.Getenv, firstFD) }

// OpenFrom is Open with another source of environment variables and another number of the first passed
// descriptor.
func OpenFrom(log *slog.Logger, environ func(string) string, first int) (*Store, error) {
	path := environ("NOTIFY_SOCKET")
	if path == "" {
		return nil, nil
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket to the service manager: %w", err)
	}
	limit := unix.NsecToTimeval(patience.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("socket to the service manager: %w", err)
	}
	s := &Store{log: log, fd: fd, manager: &unix.SockaddrUnix{Name: path}, passed: make(map[string]passed)}
	s.receive(environ, first)
	return s, nil
}

// receive records the descriptors that the manager passed to this process, and removes them from the store. It
// ignores variables that are meant for another process (LISTEN_PID).
func (s *Store) receive(environ func(string) string, first int) {
	if pid, err := strconv.Atoi(environ("LISTEN_PID")); err != nil || pid != os.Getpid() {
		return
	}
	n, err := strconv.Atoi(environ("LISTEN_FDS"))
	if err != nil {
		return
	}
	names := strings.Split(environ("LISTEN_FDNAMES"), ":")
	for i := range n {
		fd := first + i
		unix.CloseOnExec(fd)
		if i >= len(names) || !strings.HasPrefix(names[i], mark+"/") {
			continue // not stored by this package: for example the socket of a .socket unit
		}
		s.send("FDSTOREREMOVE=1\nFDNAME=" + names[i])
		key, detail, _ := strings.Cut(strings.TrimPrefix(names[i], mark+"/"), "+")
		if _, twice := s.passed[key]; twice {
			unix.Close(fd)
			continue
		}
		// Namespace threads read these descriptors and must not block. O_NONBLOCK belongs to the open file,
		// which other processes share, so it is set again.
		_ = unix.SetNonblock(fd, true) // fails only for an invalid descriptor
		s.passed[key] = passed{fd, detail}
	}
}

// Passed returns how many descriptors of the previous process are neither taken nor discarded.
func (s *Store) Passed() int {
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.passed)
}

// Take returns the descriptor that the previous process stored under a key, and its detail. The caller owns the
// descriptor. ok is false if there is none.
func (s *Store) Take(key string) (fd int, detail string, ok bool) {
	if s == nil {
		return -1, "", false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.passed[key]
	if !ok {
		return -1, "", false
	}
	delete(s.passed, key)
	return p.fd, p.detail, true
}

// Discard closes the descriptors that are not taken.
func (s *Store) Discard() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, p := range s.passed {
		unix.Close(p.fd)
		delete(s.passed, key)
	}
}

// Leave tells the Store that the process is about to end. Keep and KeepData store descriptors only after Leave.
func (s *Store) Leave() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaving = true
}

// Leaving reports whether Leave was called.
func (s *Store) Leaving() bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leaving
}

// Keep stores a copy of the descriptor for the next process, where Take(key) returns it together with the
// detail. Before Leave, Keep does nothing, so code that closes a descriptor can always call it first. Key and
// detail consist of letters, digits, "/", "." and "-". Errors are logged, the first one only.
func (s *Store) Keep(key, detail string, fd int) {
	if !s.Leaving() {
		return
	}
	name := mark + "/" + key + "+" + detail
	if len(name) > longest {
		s.complain(fmt.Errorf("the name %q is too long", name))
		return
	}
	// FDPOLL=0, because the manager otherwise drops a socket with a pending error, such as a netlink socket
	// whose receive buffer has overrun.
	s.send("FDSTORE=1\nFDNAME="+name+"\nFDPOLL=0", fd)
}

// send sends a message with descriptors to the manager. After one timeout it sends nothing, because hundreds of
// workers would each wait for the manager.
func (s *Store) send(message string, fds ...int) {
	if s.deaf.Load() {
		return
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	for {
		err := unix.Sendmsg(s.fd, []byte(message), rights, s.manager, unix.MSG_NOSIGNAL)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			s.deaf.Store(err == unix.EAGAIN)
			s.complain(err)
		}
		return
	}
}

// complain logs the first problem and ignores the others.
func (s *Store) complain(err error) {
	s.mu.Lock()
	told := s.troubled
	s.troubled = true
	s.mu.Unlock()
	if !told {
		s.log.Warn("sockets can't be left with the service manager; the next process opens new ones, and a full sync brings the missed sessions", "error", err)
	}
}
