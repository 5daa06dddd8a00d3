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

// socketUse names the purpose of a Unix socket and the flag that sets its path.
type socketUse struct{ what, flag string }

var controlSocket = socketUse{"control socket", "--socket"}

// UnixListener is a listening Unix socket that no other supervisor can take.
type UnixListener struct {
	*net.UnixListener
	lock *os.File
}

// Close removes the socket and releases its lock for another supervisor.
func (l *UnixListener) Close() error {
	defer l.lock.Close()
	return l.UnixListener.Close()
}

// ListenUnix listens on a Unix socket by the rules of the control socket: its mode is 0660, its group is the program's,
// and a stale socket file is replaced. Errors name the socket by what, and the flag that sets another path.
func ListenUnix(what, flag, path string) (*UnixListener, error) {
	return claimSocket(socketUse{what, flag}, path)
}

// claimSocket creates a socket and protects it from other supervisors. The owner of the socket holds a lock on a file
// next to it. The kernel releases the lock when the process ends. The process that holds the lock may replace a stale
// socket file, and two processes that start at the same time can't both do so. The lock file is not removed.
func claimSocket(use socketUse, path string) (_ *UnixListener, err error) {
	// The kernel reports a longer path as an invalid argument.
	if limit := len(unix.RawSockaddrUnix{}.Path); len(path) >= limit {
		return nil, fmt.Errorf("%s %s: the path is longer than %d bytes; use a shorter %s", use.what, path, limit-1, use.flag)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("%s %s: %w; use another %s, or run as root", use.what, path, err, use.flag)
	}
	lock, err := lockSocket(use, path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			lock.Close()
		}
	}()
	if err := removeStale(use, path); err != nil {
		return nil, err
	}
	// The mode is set before the socket has a path, so that the socket is never open to other users.
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if e := c.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), 0o660) }); e != nil {
			return e
		}
		return err
	}}
	l, err := config.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", use.what, path, err)
	}
	// The umask may have removed bits of the mode; set them again.
	if err := os.Chmod(path, 0o660); err != nil {
		l.Close()
		return nil, fmt.Errorf("%s %s: %w", use.what, path, err)
	}
	listener := l.(*net.UnixListener)
	lengthenQueue(listener)
	return &UnixListener{listener, lock}, nil
}

// queue is how many connections may wait to be accepted. The kernel's own limit is net.core.somaxconn.
const queue = 4096

// lengthenQueue raises the length of the accept queue above 128. Go takes the length from /proc/sys, which the service
// can't read (ProcSubset=pid).
func lengthenQueue(l *net.UnixListener) {
	if raw, err := l.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.Listen(int(fd), queue) }) // on an error, the queue keeps its 128 places
	}
}

// lockSocket locks the file next to a socket. If another process holds the lock, the error names that process.
func lockSocket(use socketUse, path string) (*os.File, error) {
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w; use another %s, or run as root", use.what, path, err, use.flag)
	}
	err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = inUse(use, path, lock)
	}
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("%s %s: %w", use.what, path, err)
	}
	// The process ID in the file is only for the error in taken.
	if err := lock.Truncate(0); err == nil {
		fmt.Fprintf(lock, "%d\n", os.Getpid())
	}
	return lock, nil
}

func inUse(use socketUse, path string, lock *os.File) error {
	who := ""
	pid := make([]byte, 20)
	if n, _ := lock.ReadAt(pid, 0); n > 0 {
		who = " (process " + strings.TrimSpace(string(pid[:n])) + ")"
	}
	stop := "stop that one"
	if use == controlSocket {
		stop += fmt.Sprintf(" with `joolctl down --socket %s`", path)
	}
	return fmt.Errorf("another supervisor%s has it; %s, or use another %s", who, stop, use.flag)
}

// removeStale removes a socket file on which no process listens.
func removeStale(use socketUse, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("%s %s: %w", use.what, path, err)
	case info.Mode()&fs.ModeSocket == 0:
		return fmt.Errorf("%s %s: there is something else; remove it, or use another %s", use.what, path, use.flag)
	}
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return fmt.Errorf("%s %s: some other program listens there; stop it, or use another %s", use.what, path, use.flag)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("%s %s: %w", use.what, path, err)
	}
	return nil
}
