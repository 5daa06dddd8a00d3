package supervisor

import (
	"errors"
	"sync"

	"golang.org/x/sys/unix"
)

// reserved is how many descriptors are held back. More than one: what one gives
// up, a worker that tries to start may get before the connection does.
const reserved = 8

// reserve holds descriptors back for control connections, so that status can
// tell why workers don't start when there are no more.
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

// exhausted tells whether an error says that no more descriptors can be had.
func exhausted(err error) bool { return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) }

// refill takes back what was given, as far as there are descriptors.
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

// give closes one, so that something else can be opened; false: none is left.
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
