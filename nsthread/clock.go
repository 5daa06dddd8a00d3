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
	// near is from when on a thread waits for its next timer itself.
	near = 250 * time.Millisecond
	// grace is how late the clock may be before the thread fires its timers itself.
	grace = 2 * time.Second
)

// clock fires the timers of threads that wait for long, on a thread of its own,
// which enters one namespace after the other. Hundreds of threads that wake up every
// few seconds to ask something cost several times what the asking does: each is
// switched to, waits for one of Go's processors, and keeps Go's monitor awake.
type clock struct {
	wake chan struct{} // something is planned earlier than all before
	home netns.NsHandle
	tid  int32 // of its thread
	// at is where its thread is, atHome where it began.
	at, atHome ID

	mu      sync.Mutex
	planned clockHeap

	end, done chan struct{}

	// It waits, or is at work, since then, and is to have done so by until; 0: it waits
	// for nothing. In nanoseconds of the process. Both change with mu held.
	since    time.Duration
	until    atomic.Int64
	stoodAt  atomic.Int64 // when it last found that it had stood still
	stoodFor time.Duration
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
		// Never unlocked, like a Thread's.
		runtime.LockOSThread()
		c.tid = int32(unix.Gettid())
		c.run()
		c.home.Close()
		close(c.done)
	}()
	return c, nil
}

// stop ends it, and waits for its end.
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

// next is the thread whose timers are due, or how long to wait for one; negative: for
// ever.
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

// seen notes whether it has stood still since next.
func (c *clock) seen() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.note(sinceEpoch())
}

// note notes a standstill, once. With mu held.
func (c *clock) note(now time.Duration) {
	if until := time.Duration(c.until.Load()); until != 0 && now > until+Standstill {
		c.stoodFor = now - c.since
		c.stoodAt.Store(int64(now))
		c.until.Store(0)
	}
}

// stood is for how long the process may have stood still at a time between two
// moments, the second being now.
func (c *clock) stood(from, now time.Duration) time.Duration {
	until := time.Duration(c.until.Load())
	if (until == 0 || now <= until+Standstill) && time.Duration(c.stoodAt.Load()) <= from {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.note(now) // the clock has perhaps not come to it yet
	if time.Duration(c.stoodAt.Load()) <= from {
		return 0
	}
	return c.stoodFor
}

// plan has the thread's timers fired at that moment, or earlier.
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
	case due < until: // it is to wake up sooner than it knows yet
		c.until.Store(int64(due))
	}
	c.mu.Unlock()
	if first {
		select {
		case c.wake <- struct{}{}:
		default: // it is awake
		}
	}
}

// forget takes the thread's plan back.
func (c *clock) forget(t *Thread) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.index >= 0 {
		heap.Remove(&c.planned, t.index)
	}
}

// fire fires the thread's timers, unless the thread is at work: then it does so
// itself.
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
		t.interrupt() // it will be busy for a while
	}
}

// goHome leaves the last thread's namespace, which must be free to end.
func (c *clock) goHome() {
	if c.at != c.atHome && netns.Set(c.home) == nil {
		c.at = c.atHome
	}
}

// clockHeap has the threads whose timers the clock fires, the next first.
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
