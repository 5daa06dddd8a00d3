package nsthread

import (
	"encoding/binary"
	"fmt"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// runPosted runs the first posted function only. Descriptors are handled before the next one, so that a thousand
// pairs that are starting do not delay the JOOLD_ACKs of a running pair. It returns false if the thread must
// end.
func (t *Thread) runPosted() bool {
	t.mu.Lock()
	if len(t.posted) == 0 {
		stopped := t.stopped
		t.rest()
		t.mu.Unlock()
		return !stopped
	}
	fn := t.posted[0]
	t.posted = t.posted[1:]
	if len(t.posted) == 0 && !t.stopped {
		t.posted = nil
		t.rest()
	}
	t.mu.Unlock()
	t.safely(fn)
	return true
}

// rest clears the wake-up of signal. The caller holds mu.
func (t *Thread) rest() {
	reset(t.wake)
}

// reset sets the counter of an eventfd or timerfd to 0.
func reset(fd int) {
	var buf [8]byte
	_, _ = unix.Read(fd, buf[:])
}

// safely calls a user's function and reports whether it returned. Users recover their own panics, since only
// they know which worker must end. A panic that they do not recover must still not end the thread, because
// others share it.
func (t *Thread) safely(fn func()) (well bool) {
	defer func() {
		if r := recover(); r != nil && t.pool.stray != nil {
			t.pool.stray(fmt.Errorf("panic: %v\n%s", r, debug.Stack()))
		}
	}()
	fn()
	return true
}

// Post makes the thread call fn soon, and returns at once. The error is ErrStopped or nil.
func (t *Thread) Post(fn func()) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return ErrStopped
	}
	t.posted = append(t.posted, fn)
	t.signal()
	return nil
}

// Do makes the thread call fn and waits for its end. It must not be called on the thread itself. If fn panics,
// Do panics in the caller with the text and stack of that panic.
func (t *Thread) Do(fn func()) error {
	done := make(chan any, 1)
	err := t.Post(func() {
		panicked := true
		defer func() {
			if panicked {
				done <- fmt.Sprintf("%v\n%s", recover(), debug.Stack())
			} else {
				done <- nil
			}
		}()
		fn()
		panicked = false
	})
	if err != nil {
		return err
	}
	if p := <-done; p != nil {
		panic(p)
	}
	return nil
}

// interrupt wakes the thread, so that it waits for its timers according to their current settings.
func (t *Thread) interrupt() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.stopped {
		t.signal()
	}
}

// signal wakes the thread. The caller holds mu, so that wake is still open.
func (t *Thread) signal() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(t.wake, one[:]) // fails only if a wake-up is pending anyway
}
