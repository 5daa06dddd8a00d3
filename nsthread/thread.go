package nsthread

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"joolctl/timerslack"
)

// ErrStopped is what a Thread answers once it has been given back.
var ErrStopped = errors.New("the namespace's thread has ended")

// Thread is one operating system thread inside one namespace. All workers of the
// namespace share it: it waits for all of their descriptors at once, and calls a
// descriptor's handler on this thread. The clock fires timers that are far away,
// and enters the namespace to do so.
type Thread struct {
	pool  *Pool
	id    ID
	users int // guarded by pool.mu

	ns          netns.NsHandle
	epoll, wake int
	late        int // a timerfd, for when the clock does not fire the timers

	mu      sync.Mutex
	posted  []func()
	stopped bool
	done    chan struct{}

	// running is held while anything of the thread runs, on it or on the clock's; both
	// are "the thread" for its users, and what follows is guarded by it.
	running  sync.Mutex
	ended    bool
	byClock  bool // it is the clock that runs
	handlers map[int32]func()
	scratch  any
	timers   timerHeap
	lateAt   time.Duration // when the timerfd late expires; 0: never

	// worksAt is the number of the operating system thread that holds running; 0: none does.
	worksAt atomic.Int32
	tid     int32 // the thread's own
	looks   looks

	clock      *clock
	plannedFor atomic.Int64  // due, as long as the clock has it
	due        time.Duration // guarded by clock.mu
	index      int           // likewise: in clock.planned, or -1

	// The thread's own:
	woken     time.Time     // when its last wait ended
	stood     time.Duration // see StoodStill
	full      bool          // more may have been there than the last wait has told
	scheduled time.Time     // see beScheduled
	wakes     int           // since then
}

// The process's first thread can't end: it would stay in the namespace for
// good, and Path("") would lead there. So it is kept for the main goroutine, as
// LockOSThread does when an init calls it, and no Thread is ever that one.
func init() { runtime.LockOSThread() }

// start makes a thread inside h. With mu held.
func (p *Pool) start(h netns.NsHandle, id ID) (_ *Thread, err error) {
	if p.clock == nil {
		if p.clock, err = startClock(); err != nil {
			return nil, fmt.Errorf("the timers' clock: %w", err)
		}
		defer func() {
			if err != nil {
				p.clock.stop()
				p.clock = nil
			}
		}()
	}
	t := &Thread{
		pool: p, id: id, ns: -1, epoll: -1, wake: -1, late: -1, done: make(chan struct{}),
		handlers: make(map[int32]func()), index: -1, clock: p.clock,
	}
	if err := t.openDescriptors(h); err != nil {
		t.closeDescriptors()
		return nil, err
	}
	entered := make(chan error, 1)
	go func() {
		// Never unlocked: the thread ends with this goroutine, and no other
		// goroutine ever finds itself in a strange namespace.
		runtime.LockOSThread()
		// The process's slack may be for Go's monitor; this thread's timers must be on time.
		err := errors.Join(enter(h, id), timerslack.Fine())
		t.tid = int32(unix.Gettid())
		entered <- err
		if err == nil {
			t.loop()
		}
		t.clock.forget(t)
		t.closeDescriptors()
		close(t.done)
	}()
	if err := <-entered; err != nil {
		<-t.done
		return nil, fmt.Errorf("setns or prctl: %w", err)
	}
	return t, nil
}

// enter moves the calling thread to a namespace. A thread that is there already needs no CAP_SYS_ADMIN.
func enter(h netns.NsHandle, id ID) error {
	var st unix.Stat_t
	if unix.Stat("/proc/thread-self/ns/net", &st) == nil && id == (ID{st.Dev, st.Ino}) {
		return nil
	}
	return netns.Set(h)
}

func (t *Thread) openDescriptors(h netns.NsHandle) error {
	ns, err := unix.FcntlInt(uintptr(h), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("fcntl: %w", err)
	}
	t.ns = netns.NsHandle(ns)
	if t.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll_create1: %w", err)
	}
	if t.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	if t.late, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return fmt.Errorf("timerfd_create: %w", err)
	}
	return errors.Join(t.add(t.wake), t.add(t.late))
}

func (t *Thread) closeDescriptors() {
	for _, fd := range []int{t.late, t.wake, t.epoll, int(t.ns)} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

func (t *Thread) add(fd int) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if err := unix.EpollCtl(t.epoll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

// loop serves descriptors, timers and posted functions until stop. Descriptors
// come first: after a standstill of the whole process, what has arrived
// meanwhile is not to be given up for lost.
func (t *Thread) loop() {
	var events [32]unix.EpollEvent
	t.begin(t.tid)
	defer func() {
		t.ended = true
		t.pause()
	}()
	now := time.Now() // which is read as rarely as possible: a busy thread waits thousands of times a second
	t.woken = now
	for {
		t.returnScratch()
		n := t.wait(events[:], now)
		for i := range n {
			switch events[i].Fd {
			case int32(t.wake):
				if !t.runPosted() {
					return
				}
				continue
			case int32(t.late):
				t.lateAt = 0
				reset(t.late)
				continue
			}
			// A handler may have stopped watching another descriptor.
			if handle := t.handlers[events[i].Fd]; handle != nil {
				if !t.safely(handle) {
					t.Unwatch(int(events[i].Fd)) // it would come again at once
				}
			}
		}
		now = t.fireTimers(time.Now())
	}
}

// begin locks running for an operating system thread, and pause unlocks it.
func (t *Thread) begin(tid int32) {
	t.running.Lock()
	t.worksAt.Store(tid)
}

func (t *Thread) pause() {
	t.worksAt.Store(0)
	t.running.Unlock()
}

// wait waits for descriptors and timers.
func (t *Thread) wait(events []unix.EpollEvent, now time.Time) (n int) {
	before, stood := t.woken, t.stood
	if !t.full {
		stood = 0 // what was there then has been read
	}
	ready := now
	if !timerslack.Applies() {
		ready = t.beScheduled(now)
	}
	planned := t.untilTimer(ready)
	due, far := t.farTimer(ready)
	if far {
		planned = -1
	}
	t.pause()
	if far {
		// The clock fires no timers of a thread that is running, so running is unlocked first.
		t.clock.plan(t, due)
	}
	n, err := unix.EpollWait(t.epoll, events, planned)
	for err == unix.EINTR {
		left := planned
		if planned > 0 {
			left = max(planned-int(time.Since(now).Milliseconds()), 0)
		}
		n, err = unix.EpollWait(t.epoll, events, left)
	}
	if err != nil {
		panic(fmt.Sprintf("epoll_wait: %v", err)) // only a bug of ours can make it fail
	}
	t.begin(t.tid)
	t.woken, t.stood, t.full = time.Now(), stood, n == len(events)
	switch waited := t.woken.Sub(now); {
	case now.Sub(before) > Standstill: // at work
		t.stood = t.woken.Sub(before)
	case far:
		t.stood = max(t.stood, t.clock.stood(now.Sub(epoch), t.woken.Sub(epoch)))
	case planned >= 0 && waited > time.Duration(planned)*time.Millisecond+Standstill:
		t.stood = waited
	}
	return n
}

// Standstill is from when on a delay means that the process has been stopped, or its
// host.
const Standstill = time.Second

// StoodStill is how long what is there to be read now may have waited, because the
// thread stood still meanwhile; 0: it didn't. To be called on the thread.
func (t *Thread) StoodStill() time.Duration { return t.stood }

const (
	// scheduledEvery is how often a busy thread lets itself be scheduled, and busy how
	// many times it must have woken up meanwhile.
	scheduledEvery = 8 * time.Millisecond
	busy           = 4
)

// beScheduled keeps Go's monitor away from a thread that wakes up often, on hosts with one
// processor, where the monitor is as fast as Go makes it (see package timerslack). If the
// scheduler has not run a thread's goroutine for 10 ms, the monitor takes the thread for one
// that runs all the time, and takes Go's processor away when it finds the thread in a system
// call; as long as it succeeds it looks every 20 µs. beScheduled returns the time after that, because other goroutines may have run
// for long.
func (t *Thread) beScheduled(now time.Time) time.Time {
	t.wakes++
	if now.Sub(t.scheduled) < scheduledEvery {
		return now
	}
	wasBusy := t.wakes >= busy
	t.scheduled, t.wakes = now, 0
	if !wasBusy {
		return now
	}
	runtime.Gosched()
	return time.Now()
}

// runPosted runs the first of what was posted. The others have their turn after the
// descriptors: a thousand pairs that try to start keep none that runs from its ACK.
// false: the thread is to end.
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

// rest takes signal back. With mu held.
func (t *Thread) rest() {
	reset(t.wake)
}

// reset has the descriptor's counter begin again.
func reset(fd int) {
	var buf [8]byte
	_, _ = unix.Read(fd, buf[:])
}

// safely calls what a user of the thread gave it, and reports whether it
// returned. Users catch their own panics, since only they know what has to end
// then; one that got away must still not end the others' thread.
func (t *Thread) safely(fn func()) (well bool) {
	defer func() {
		if r := recover(); r != nil && t.pool.stray != nil {
			t.pool.stray(fmt.Errorf("panic: %v\n%s", r, debug.Stack()))
		}
	}()
	fn()
	return true
}

// Post has the thread call fn soon, and returns at once.
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

// Do has the thread call fn and waits for it. It must not be called on the
// thread itself. A panic in fn is handed on to the
// caller, as its text and stack.
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

// Watch has the thread call ready whenever fd can be read, until Unwatch. fd
// must be non-blocking. To be called on the thread (in Do or Post).
func (t *Thread) Watch(fd int, ready func()) error {
	if err := t.add(fd); err != nil {
		return err
	}
	t.handlers[int32(fd)] = ready
	return nil
}

// Quietly calls fn, which reads fd, a watched one, itself. To be called on the thread.
func (t *Thread) Quietly(fd int, fn func()) {
	if !t.byClock {
		fn()
		return
	}
	// What arrives would wake the thread, which waits meanwhile.
	ev := unix.EpollEvent{Fd: int32(fd)}
	_ = unix.EpollCtl(t.epoll, unix.EPOLL_CTL_MOD, fd, &ev)
	defer func() {
		ev.Events = unix.EPOLLIN
		_ = unix.EpollCtl(t.epoll, unix.EPOLL_CTL_MOD, fd, &ev) // it fails only when it is watched no more
	}()
	fn()
}

// Unwatch ends a Watch; only then may fd be closed. To be called on the thread.
func (t *Thread) Unwatch(fd int) {
	delete(t.handlers, int32(fd))
	_ = unix.EpollCtl(t.epoll, unix.EPOLL_CTL_DEL, fd, nil) // it fails only for what was never watched
}

// interrupt has the thread look what it is to wait for.
func (t *Thread) interrupt() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.stopped {
		t.signal()
	}
}

// stop ends the thread after what has been posted, and waits for its end.
func (t *Thread) stop() {
	t.mu.Lock()
	t.stopped = true
	t.signal()
	t.mu.Unlock()
	<-t.done
}

// signal wakes the thread. With mu held, so that wake is not closed yet.
func (t *Thread) signal() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(t.wake, one[:]) // fails only when it is due anyway
}
