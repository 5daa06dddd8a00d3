package nsthread

import (
	"container/heap"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const (
	// near is the shortest wait for which the clock fires a thread's next timer. For a shorter one, the thread
	// waits itself.
	near = 250 * time.Millisecond
	// grace is the delay after which a thread fires its timers itself, because the clock has not fired them.
	grace = 2 * time.Second
)

// clock fires the timers of threads whose next timer is far away. It runs on one operating system thread of its
// own, which enters each thread's namespace in turn. Hundreds of threads that wake up every few seconds to send
// a request cost several times the processor time of the requests: each needs a context switch, waits for one of
// Go's processors, and keeps Go's monitor thread awake.
type clock struct {
	wake chan struct{} // signals a due time before all others
	home netns.NsHandle
	tid  int32 // the clock's operating system thread
	// at is the namespace that the clock's thread is in, atHome the one in which it started.
	at, atHome ID

	mu      sync.Mutex
	planned clockHeap

	end, done chan struct{}

	// Stall detection. The clock has been waiting or running since since, and should wake up or finish by until;
	// 0: the clock waits for no timer. In nanoseconds since epoch. Both change with mu held.
	since     time.Duration
	until     atomic.Int64
	stalledAt atomic.Int64 // when the clock last detected a stall
	stoodFor  time.Duration
}

var epoch = time.Now()

func sinceEpoch() time.Duration { return time.Since(epoch) }

// startClock starts a clock, which runs until stop.
func startClock() (*clock, error) {
	home, id, err := open("")
	if err != nil {
		return nil, err
	}
	c := &clock{wake: make(chan struct{}, 1), home: home, at: id, atHome: id, end: make(chan struct{}), done: make(chan struct{})}
	go func() {
		// Never unlocked, as for a Thread.
		runtime.LockOSThread()
		c.tid = int32(unix.Gettid())
		c.run()
		c.home.Close()
		close(c.done)
	}()
	return c, nil
}

// stop ends the clock and waits for its goroutine.
func (c *clock) stop() {
	close(c.end)
	<-c.done
}

func (c *clock) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		t, wait := c.next()
		if t != nil {
			c.fire(t)
			continue
		}
		c.goHome()
		if wait >= 0 {
			timer.Reset(wait)
		} else {
			timer.Stop()
		}
		select {
		case <-timer.C:
		case <-c.wake:
		case <-c.end:
			return
		}
		c.seen()
	}
}

// next returns a thread whose timers are due, or nil and the time to wait for the next one; negative: there is
// none.
func (c *clock) next() (*Thread, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := sinceEpoch()
	c.since = now
	if len(c.planned) == 0 {
		c.until.Store(0)
		return nil, -1
	}
	first := c.planned[0]
	c.until.Store(int64(max(first.due, now)))
	if first.due > now {
		return nil, first.due - now
	}
	heap.Pop(&c.planned)
	first.plannedFor.Store(0)
	return first, 0
}

// seen checks for a stall since the last call of next.
func (c *clock) seen() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.note(sinceEpoch())
}

// note records a stall, once. The caller holds mu.
func (c *clock) note(now time.Duration) {
	if until := time.Duration(c.until.Load()); until != 0 && now > until+StallDelay {
		c.stoodFor = now - c.since
		c.stalledAt.Store(int64(now))
		c.until.Store(0)
	}
}

// stalled returns the length of the last stall of the process if it overlaps the time between from and now; 0:
// there was none. now must be the current time.
func (c *clock) stalled(from, now time.Duration) time.Duration {
	until := time.Duration(c.until.Load())
	if (until == 0 || now <= until+StallDelay) && time.Duration(c.stalledAt.Load()) <= from {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.note(now) // the clock may not have checked yet
	if time.Duration(c.stalledAt.Load()) <= from {
		return 0
	}
	return c.stoodFor
}

// plan makes the clock fire the thread's timers at due, unless it is planned to do so earlier.
func (c *clock) plan(t *Thread, due time.Duration) {
	if at := time.Duration(t.plannedFor.Load()); at != 0 && at <= due {
		return
	}
	c.mu.Lock()
	t.due = due
	t.plannedFor.Store(int64(due))
	if t.index >= 0 {
		heap.Fix(&c.planned, t.index)
	} else {
		heap.Push(&c.planned, t)
	}
	first := t.index == 0
	switch until := time.Duration(c.until.Load()); {
	case until == 0:
		c.since = sinceEpoch()
		c.until.Store(int64(due))
	case due < until: // the clock must wake up sooner than planned
		c.until.Store(int64(due))
	}
	c.mu.Unlock()
	if first {
		select {
		case c.wake <- struct{}{}:
		default: // a wake-up is pending
		}
	}
}

// forget removes the thread from the plan.
func (c *clock) forget(t *Thread) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.index >= 0 {
		heap.Remove(&c.planned, t.index)
	}
}

// fire fires the thread's timers, unless the thread itself is running: then it fires them itself.
func (c *clock) fire(t *Thread) {
	if !t.running.TryLock() {
		return
	}
	t.worksAt.Store(c.tid)
	defer t.pause()
	if t.ended {
		return
	}
	if c.at != t.id {
		if err := netns.Set(t.ns); err != nil {
			t.interrupt()
			return
		}
		c.at = t.id
	}
	t.byClock = true
	now := t.fireTimers(time.Now())
	t.returnScratch()
	t.byClock = false
	c.seen()
	if due, far := t.farTimer(now); far {
		c.plan(t, due)
	} else if len(t.timers) > 0 {
		t.interrupt() // timers follow soon: the thread waits for them itself
	}
}

// goHome returns to the clock's own namespace, because the kernel does not delete a namespace that a thread is
// in.
func (c *clock) goHome() {
	if c.at != c.atHome && netns.Set(c.home) == nil {
		c.at = c.atHome
	}
}

// clockHeap contains the threads whose timers the clock fires, the earliest first.
type clockHeap []*Thread

func (h clockHeap) Len() int           { return len(h) }
func (h clockHeap) Less(i, j int) bool { return h[i].due < h[j].due }

func (h clockHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *clockHeap) Push(x any) {
	t := x.(*Thread)
	t.index = len(*h)
	*h = append(*h, t)
}

func (h *clockHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.index = -1
	return t
}
