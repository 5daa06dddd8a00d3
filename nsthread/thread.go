package nsthread

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"joolctl/timerslack"
)

// ErrStopped is returned by Post and Do after the last Release.
var ErrStopped = errors.New("the namespace's thread has ended")

// Thread is one operating system thread inside one namespace. All workers of the namespace share it. It waits
// for all of their descriptors in one epoll and calls the descriptors' handlers. Timers that are far away are
// fired by the clock, which enters the namespace for this.
type Thread struct {
	pool  *Pool
	id    ID
	users int // guarded by pool.mu

	ns          netns.NsHandle
	epoll, wake int
	late        int // a timerfd that expires if the clock fires the timers late

	mu      sync.Mutex
	posted  []func()
	stopped bool
	done    chan struct{}

	// running is locked while the thread runs code, either on its own operating system thread or on the clock's.
	// For users both are "the thread". It guards the fields below.
	running  sync.Mutex
	ended    bool
	byClock  bool // the function runs on the clock's thread
	handlers map[int32]func()
	scratch  any
	timers   timerHeap
	lateAt   time.Duration // when the timerfd late expires; 0: never

	// worksAt is the number of the operating system thread that has locked running; 0: none.
	worksAt atomic.Int32
	tid     int32 // the number of the thread itself
	looks   looks

	clock      *clock
	plannedFor atomic.Int64  // due while the clock has planned the thread, else 0
	due        time.Duration // guarded by clock.mu
	index      int           // guarded by clock.mu: the index in clock.planned, or -1

	// Used by the thread itself only:
	woken     time.Time     // when the last wait ended
	stalled   time.Duration // the result of StalledFor
	full      bool          // more descriptors may have been readable than the last wait returned
	scheduled time.Time     // when beScheduled last checked
	wakes     int           // wake-ups since scheduled
}

// The process's first thread cannot end. If it were in a namespace, it would stay there forever, and Path("")
// would lead there. Locking it in an init function keeps it for the main goroutine, so it never becomes a
// Thread.
func init() { runtime.LockOSThread() }

// start starts a thread inside h. The caller holds mu.
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
		// Never unlocked: the operating system thread ends with this goroutine, and no other goroutine ever runs
		// in this namespace by accident.
		runtime.LockOSThread()
		// The process's timer slack may be coarse for Go's monitor thread; this thread's timers must be on time.
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

// enter moves the calling thread to a namespace. It skips the system call if the thread is there already,
// because setns needs CAP_SYS_ADMIN.
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

// loop handles descriptors, timers and posted functions until stop. Descriptors come before timers. After a
// stall of the whole process, the datagrams in the sockets are thus read before a timer could declare them lost.
func (t *Thread) loop() {
	var events [32]unix.EpollEvent
	t.begin(t.tid)
	defer func() {
		t.ended = true
		t.pause()
	}()
	now := time.Now() // read rarely, because a busy thread wakes up thousands of times a second
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
					t.Unwatch(int(events[i].Fd)) // the descriptor stays readable, so the handler would panic again at once
				}
			}
		}
		now = t.fireTimers(time.Now())
	}
}

// begin locks running on behalf of an operating system thread, and pause unlocks it.
func (t *Thread) begin(tid int32) {
	t.running.Lock()
	t.worksAt.Store(tid)
}

func (t *Thread) pause() {
	t.worksAt.Store(0)
	t.running.Unlock()
}

// wait blocks until descriptors are readable or a timer is due.
func (t *Thread) wait(events []unix.EpollEvent, now time.Time) (n int) {
	before, stalled := t.woken, t.stalled
	if !t.full {
		stalled = 0 // everything that arrived during the last stall has been read
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
		// The clock skips a thread that is running, so running is unlocked first.
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
		panic(fmt.Sprintf("epoll_wait: %v", err)) // can fail only because of a bug
	}
	t.begin(t.tid)
	t.woken, t.stalled, t.full = time.Now(), stalled, n == len(events)
	switch waited := t.woken.Sub(now); {
	case now.Sub(before) > StallDelay: // a stall while the thread ran functions
		t.stalled = t.woken.Sub(before)
	case far:
		t.stalled = max(t.stalled, t.clock.stalled(now.Sub(epoch), t.woken.Sub(epoch)))
	case planned >= 0 && waited > time.Duration(planned)*time.Millisecond+StallDelay:
		t.stalled = waited
	}
	return n
}

// StallDelay is the delay from which on the thread assumes that its process or its host was stopped.
const StallDelay = time.Second

// StalledFor returns how long the readable data may have waited in the sockets because the thread stalled; 0: it
// did not stall. StalledFor must be called on the thread.
func (t *Thread) StalledFor() time.Duration { return t.stalled }

const (
	// scheduledEvery is the time between two yields of a busy thread. busy is the number of wake-ups in this
	// time that make a thread a busy one.
	scheduledEvery = 8 * time.Millisecond
	busy           = 4
)

// beScheduled keeps Go's monitor thread from watching a thread that wakes up often. This matters on hosts with
// one processor, where the monitor polls as fast as Go makes it (see package timerslack). If the scheduler has
// not switched a thread's goroutine for 10 ms, the monitor considers the goroutine as running all the time, and
// takes Go's processor away when it finds the thread in a system call. While this succeeds, the monitor polls
// every 20 µs. beScheduled yields to the scheduler, and returns the time afterwards, because other goroutines
// may have run for long.
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

// Watch makes the thread call ready whenever fd is readable, until Unwatch. fd must be non-blocking. Watch must
// be called on the thread (in Do or Post).
func (t *Thread) Watch(fd int, ready func()) error {
	if err := t.add(fd); err != nil {
		return err
	}
	t.handlers[int32(fd)] = ready
	return nil
}

// Quietly calls fn, which itself reads the watched descriptor fd. Quietly must be called on the thread.
func (t *Thread) Quietly(fd int, fn func()) {
	if !t.byClock {
		fn()
		return
	}
	// On the clock's thread, fn reads the reply itself. The reply would also wake the thread, which waits for
	// fd.
	ev := unix.EpollEvent{Fd: int32(fd)}
	_ = unix.EpollCtl(t.epoll, unix.EPOLL_CTL_MOD, fd, &ev)
	defer func() {
		ev.Events = unix.EPOLLIN
		_ = unix.EpollCtl(t.epoll, unix.EPOLL_CTL_MOD, fd, &ev) // fails only if fn has called Unwatch
	}()
	fn()
}

// Unwatch ends a Watch. fd may be closed only after it. Unwatch must be called on the thread.
func (t *Thread) Unwatch(fd int) {
	delete(t.handlers, int32(fd))
	_ = unix.EpollCtl(t.epoll, unix.EPOLL_CTL_DEL, fd, nil) // fails only for a descriptor that is not watched
}

// stop ends the thread after the functions posted so far, and waits for its end.
func (t *Thread) stop() {
	t.mu.Lock()
	t.stopped = true
	t.signal()
	t.mu.Unlock()
	<-t.done
}
