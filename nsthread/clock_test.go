package nsthread_test

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/nsthread"
	"joolctl/nsthread/nstest"
)

// far is a wait long enough for the clock to fire the timer.
const far = 400 * time.Millisecond

// fired is the operating system thread, the namespace and the time in which a timer's function ran.
type fired struct {
	tid int
	in  nsthread.ID
	at  time.Time
}

// setFar sets a timer of the thread to the time far, and returns a channel that reports its firing.
func setFar(t *testing.T, th *nsthread.Thread, fn func()) <-chan fired {
	t.Helper()
	told := make(chan fired, 1)
	do(t, th, func() {
		th.NewTimer(func() {
			fn()
			told <- fired{unix.Gettid(), here(), time.Now()}
		}).Set(time.Now().Add(far))
	})
	return told
}

func await(t *testing.T, told <-chan fired) fired {
	t.Helper()
	select {
	case f := <-told:
		return f
	case <-time.After(patience):
		t.Fatal("a timer did not fire")
		return fired{}
	}
}

func nothing() {}

// TestClock checks that the clock's thread fires the timers of several threads, each in its thread's namespace.
func TestClock(t *testing.T) {
	nstest.Need(t)
	pool := nsthread.NewPool()
	names := []string{nstest.New(t), nstest.New(t), nstest.New(t), ""}
	var threads []*nsthread.Thread
	var told []<-chan fired
	own := make(map[int]bool)
	for _, name := range names {
		th := get(t, pool, name)
		defer th.Release()
		do(t, th, func() { own[unix.Gettid()] = true })
		threads = append(threads, th)
		told = append(told, setFar(t, th, nothing))
	}
	clocks := make(map[int]bool)
	for i := range threads {
		f := await(t, told[i])
		if f.in != threads[i].ID() {
			t.Errorf("the timer of namespace %q fired in %v, want %v", names[i], f.in, threads[i].ID())
		}
		if own[f.tid] {
			t.Errorf("the timer of namespace %q fired on a thread that has to wake up for it", names[i])
		}
		clocks[f.tid] = true
	}
	if len(clocks) != 1 {
		t.Errorf("%d threads fired the timers, want one", len(clocks))
	}
}

// TestClockLeavesWorkAlone checks that a timer that is due while its thread runs a function is fired by this
// thread, after the function.
func TestClockLeavesWorkAlone(t *testing.T) {
	nstest.Need(t)
	t.Parallel()
	th := get(t, nsthread.NewPool(), "")
	defer th.Release()
	var running sync.Mutex
	told := setFar(t, th, func() {
		if !running.TryLock() {
			t.Error("it fired amid what the thread was at")
			return
		}
		running.Unlock()
	})
	tid := 0
	do(t, th, func() {
		running.Lock()
		tid = unix.Gettid()
		<-time.After(2 * far)
		running.Unlock()
	})
	if f := await(t, told); f.tid != tid {
		t.Error("it did not fire on its thread")
	}
}

// TestBlockedClock blocks the clock in one thread's timer function. The other threads fire their timers
// themselves, with a delay of about 2 s.
func TestBlockedClock(t *testing.T) {
	nstest.Need(t)
	t.Parallel()
	pool := nsthread.NewPool()
	blocked, other := get(t, pool, nstest.New(t)), get(t, pool, nstest.New(t))
	blocks, end := make(chan struct{}), make(chan struct{})
	first := setFar(t, blocked, func() { close(blocks); <-end })
	<-blocks
	begin := time.Now()
	f := await(t, setFar(t, other, nothing))
	if f.in != other.ID() {
		t.Error("it fired in a strange namespace")
	}
	if late := f.at.Sub(begin.Add(far)); late < time.Second {
		t.Errorf("it fired %v late; want 2 s at least, by its own thread", late)
	}
	close(end)
	await(t, first)
	if f := await(t, setFar(t, other, nothing)); f.at.Sub(begin) > patience {
		t.Error("the clock does not fire")
	}
	blocked.Release()
	other.Release()
}

// TestQuietly checks that the thread does not wake up for a message that a timer function on the clock reads.
func TestQuietly(t *testing.T) {
	nstest.Need(t)
	t.Parallel()
	th := get(t, nsthread.NewPool(), "")
	defer th.Release()
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[1])
	defer unix.Close(pipe[0])
	var b [1]byte
	woken := make(chan int, 10)
	do(t, th, func() {
		if err := th.Watch(pipe[0], func() {
			n, _ := unix.Read(pipe[0], b[:])
			woken <- n
		}); err != nil {
			t.Error(err)
		}
	})
	write := func() {
		if _, err := unix.Write(pipe[1], []byte("x")); err != nil {
			t.Error(err)
		}
	}
	await(t, setFar(t, th, func() {
		th.Quietly(pipe[0], func() {
			write()
			if n, err := unix.Read(pipe[0], b[:]); n != 1 || err != nil {
				t.Error(n, err)
			}
		})
		if len(woken) > 0 {
			t.Error("the thread was woken")
		}
	}))
	write() // the thread watches the descriptor again
	if n := <-woken; n != 1 {
		t.Errorf("the thread read %d bytes, want 1; data that was already read woke it", n)
	}
	do(t, th, func() { th.Unwatch(pipe[0]) })
}

// TestClockGoesHome checks that the clock leaves a namespace after it has fired a timer there, so that the
// namespace can be deleted.
func TestClockGoesHome(t *testing.T) {
	nstest.Need(t)
	pool := nsthread.NewPool()
	stays := get(t, pool, "")
	defer stays.Release()
	th := get(t, pool, nstest.New(t))
	f := await(t, setFar(t, th, nothing))
	eventually(t, "the clock has left the namespace", func() bool {
		var st unix.Stat_t
		err := unix.Stat("/proc/self/task/"+strconv.Itoa(f.tid)+"/ns/net", &st)
		return err == nil && nsthread.ID{Dev: st.Dev, Ino: st.Ino} == stays.ID()
	})
	th.Release()
}
