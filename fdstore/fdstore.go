// Package fdstore leaves open descriptors with the service manager, for the
// next process of the service to go on with: systemd's descriptor store.
//
// What was left is taken out of the store as soon as the next process has it.
// The store would otherwise keep alive what this process lets go of: a deleted
// namespace, a group's membership.
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
	// firstFD is where the manager puts what it passes on.
	firstFD = 3
	// patience is how long the manager may take to make room for a message.
	patience = 250 * time.Millisecond
	// mark begins all our names.
	mark = "joolctl"
	// longest is what the manager takes for a name.
	longest = 255
)

// Store is the manager's store for this service. A nil Store is that of a
// process without a manager: nothing is in it, and it keeps nothing.
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

// passed is a descriptor of the process before, until somebody takes it.
type passed struct {
	fd     int
	detail string
}

// Open takes over what the process before has left. It returns nil where there
// is no manager.
func Open(log *slog.Logger) (*Store, error) { return OpenFrom(log, os.Getenv, firstFD) }

// OpenFrom is Open with other variables than the environment's, and with another
// number for the first descriptor that was passed.
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

// receive notes what was passed to this process, and empties the store.
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
			continue // some other unit's, such as a socket's
		}
		s.send("FDSTOREREMOVE=1\nFDNAME=" + names[i])
		key, detail, _ := strings.Cut(strings.TrimPrefix(names[i], mark+"/"), "+")
		if _, twice := s.passed[key]; twice {
			unix.Close(fd)
			continue
		}
		// Whoever takes it would block its thread otherwise, should somebody on the
		// way have changed that.
		_ = unix.SetNonblock(fd, true) // it fails only for what is no descriptor
		s.passed[key] = passed{fd, detail}
	}
}

// Passed is how many descriptors of the process before nobody has taken.
func (s *Store) Passed() int {
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.passed)
}

// Take gives the descriptor that was left under a key, and its detail. It is the
// caller's from now on.
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

// Discard closes what nobody has taken.
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

// Leave tells the Store that the process ends. The Store leaves the descriptors that it gets from now on to the next process.
func (s *Store) Leave() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaving = true
}

// Leaving is true after Leave.
func (s *Store) Leaving() bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leaving
}

// Keep leaves a copy of the descriptor to the next process, where Take(key)
// gives it together with the detail. Before Leave it does nothing, so that
// whoever closes a descriptor can call it always. Key and detail are of
// letters, digits and / . - alone.
func (s *Store) Keep(key, detail string, fd int) {
	if !s.Leaving() {
		return
	}
	name := mark + "/" + key + "+" + detail
	if len(name) > longest {
		s.complain(fmt.Errorf("the name %q is too long", name))
		return
	}
	// FDPOLL=0: the manager would drop a socket with an error on it, such as a
	// netlink socket that overran meanwhile.
	s.send("FDSTORE=1\nFDNAME="+name+"\nFDPOLL=0", fd)
}

// send tells the manager one thing, unless it has been deaf before: hundreds of
// workers would have to wait for it.
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

// complain logs the first problem.
func (s *Store) complain(err error) {
	s.mu.Lock()
	told := s.troubled
	s.troubled = true
	s.mu.Unlock()
	if !told {
		s.log.Warn("sockets can't be left with the service manager; the next process opens new ones, and a resync brings what was missed", "error", err)
	}
}
