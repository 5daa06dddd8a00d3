package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// claimSocket makes the control socket and holds it against other supervisors.
// A lock file beside it decides who has it, because the kernel drops a lock
// with its process: so whoever has the lock may replace a socket that is left
// over, and two that start at once can't both do so. The lock file stays.
func claimSocket(path string) (listener *net.UnixListener, lock *os.File, err error) {
	// The kernel's limit, which it reports as an invalid argument.
	if limit := len(unix.RawSockaddrUnix{}.Path); len(path) >= limit {
		return nil, nil, fmt.Errorf("control socket %s: the path is longer than %d bytes; use a shorter --socket", path, limit-1)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, nil, fmt.Errorf("control socket %s: %w; use another --socket, or run as root", path, err)
	}
	lock, err = lockSocket(path)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			lock.Close()
		}
	}()
	if err := removeStale(path); err != nil {
		return nil, nil, err
	}
	// The mode is set before the socket has a name: never is it open to more.
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if e := c.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), 0o660) }); e != nil {
			return e
		}
		return err
	}}
	l, err := config.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	// And again, for what the umask took away.
	if err := os.Chmod(path, 0o660); err != nil {
		l.Close()
		return nil, nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	listener = l.(*net.UnixListener)
	lengthenQueue(listener)
	return listener, lock, nil
}

// queue is how many connections may wait to be accepted. The kernel has a limit of its own, net.core.somaxconn.
const queue = 4096

// lengthenQueue has the kernel queue more than 128 connections. Go reads the kernel's limit from /proc/sys, which the service does
// not see (ProcSubset=pid).
func lengthenQueue(l *net.UnixListener) {
	if raw, err := l.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.Listen(int(fd), queue) }) // otherwise 128 have to do
	}
}

// lockSocket takes the lock or says who has it.
func lockSocket(path string) (*os.File, error) {
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w; use another --socket, or run as root", path, err)
	}
	err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = taken(path, lock)
	}
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	// For taken, nothing else.
	if err := lock.Truncate(0); err == nil {
		fmt.Fprintf(lock, "%d\n", os.Getpid())
	}
	return lock, nil
}

func taken(path string, lock *os.File) error {
	who := ""
	pid := make([]byte, 20)
	if n, _ := lock.ReadAt(pid, 0); n > 0 {
		who = " (process " + strings.TrimSpace(string(pid[:n])) + ")"
	}
	return fmt.Errorf("another supervisor%s has it; stop that one with `joolctl down --socket %s`, or use another --socket", who, path)
}

// removeStale removes a socket that nobody listens on.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("control socket %s: %w", path, err)
	case info.Mode()&fs.ModeSocket == 0:
		return fmt.Errorf("control socket %s: there is something else; remove it, or use another --socket", path)
	}
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return fmt.Errorf("control socket %s: some other program listens there; stop it, or use another --socket", path)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("control socket %s: %w", path, err)
	}
	return nil
}
