package supervisor

import (
	"errors"
	"sync"

	"golang.org/x/sys/unix"
)

// reserved is the number of descriptors that are reserved. One is not enough: a worker that tries to start may take a
// released descriptor before the control connection can.
const reserved = 8

// reserve reserves descriptors for control connections, so that status can answer, and report why workers don't start,
// when the process has reached its limit.
type reserve struct {
	mu     sync.Mutex
	fds    []int
	closed bool
}

func newReserve() *reserve {
	r := new(reserve)
	r.refill()
	return r
}

// exhausted reports whether an error means that the limit of descriptors is reached.
func exhausted(err error) bool { return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) }

// refill opens descriptors until the reserve is full or the limit is reached.
func (r *reserve) refill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.fds) < reserved && !r.closed {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		if err != nil {
			return
		}
		r.fds = append(r.fds, fd)
	}
}

// give closes one reserved descriptor, so that another file can be opened. It returns false if the reserve is empty.
func (r *reserve) give() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.fds) == 0 {
		return false
	}
	last := len(r.fds) - 1
	unix.Close(r.fds[last])
	r.fds = r.fds[:last]
	return true
}

func (r *reserve) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	for r.give() {
	}
}
