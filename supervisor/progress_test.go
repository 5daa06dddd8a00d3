package supervisor

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/internal/await"
)

// messages collects the messages sent to systemd.
type messages struct {
	mu  sync.Mutex
	all []string
}

func (m *messages) add(message string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = append(m.all, message)
}

// watchdogs counts the notifications of the watchdog since the last call.
func (m *messages) watchdogs() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, message := range m.all {
		if message == "WATCHDOG=1" {
			n++
		}
	}
	m.all = nil
	return n
}

// underWatchdog runs a test with a supervisor of two pairs and a watchdog of systemd.
func underWatchdog(t *testing.T, test func(r *rig, m *messages)) {
	t.Helper()
	m := new(messages)
	inBubbleWith(t, func(opt *Options) { opt.Watchdog, opt.Notify = 30*time.Second, m.add }, two(t), func(r *rig) {
		r.fleet.notes()
		m.watchdogs()
		test(r, m)
	})
}

// pass lets time pass and returns how often the watchdog was notified meanwhile.
func pass(d time.Duration, m *messages) int {
	m.watchdogs()
	time.Sleep(d)
	synctest.Wait()
	return m.watchdogs()
}

// startEndless starts pair c, whose worker does not stop before hold is closed.
func (r *rig) startEndless(t *testing.T, hold chan struct{}) {
	t.Helper()
	r.fleet.behave("c", func(_ context.Context, ready func()) error {
		ready()
		<-hold
		return nil
	})
	write(t, r.dir, "c", files{instance: "c", group: "3"})
	r.reload()
}

func TestWatchdogIsNotified(t *testing.T) {
	underWatchdog(t, func(r *rig, m *messages) {
		if n := pass(time.Minute, m); n != 12 {
			t.Errorf("systemd was notified %d times a minute, want each five seconds", n)
		}
		if notes := r.fleet.notes(); len(notes) > 0 {
			t.Errorf("workers were concerned: %v", notes)
		}
	})
}

// TestShortWatchdog uses a watchdog interval that is shorter than the supervisor's check period.
func TestShortWatchdog(t *testing.T) {
	for _, test := range []struct{ watchdog, period time.Duration }{
		{0, 5 * time.Second}, {time.Hour, 5 * time.Second}, {3 * time.Second, time.Second},
	} {
		if got := CheckPeriod(test.watchdog); got != test.period {
			t.Errorf("with a watchdog of %v, the supervisor looks each %v, want %v", test.watchdog, got, test.period)
		}
	}
}

// TestStuckLoopIsReplaced checks that a worker whose loop is stuck is replaced if it stops, without effect on other
// workers.
func TestStuckLoopIsReplaced(t *testing.T) {
	underWatchdog(t, func(r *rig, m *messages) {
		r.fleet.jam("i1", false)
		if n := pass(stuckAfter-time.Second, m); n == 0 || len(r.fleet.notes()) > 0 {
			t.Errorf("within %v, systemd was notified %d times, and workers were concerned", stuckAfter, n)
		}
		n := pass(2*checkPeriod, m)
		if diff := cmp.Diff([]string{"stop a/i1", "start a/i1"}, r.fleet.notes()); diff != "" {
			t.Errorf("starts and stops of workers (-want +got):\n%s", diff)
		}
		if n != 2 {
			t.Errorf("systemd was notified %d times in 10 s", n)
		}
	})
}

// TestWorkerThatDoesNotStop checks that the watchdog is not notified until the worker stops.
func TestWorkerThatDoesNotStop(t *testing.T) {
	underWatchdog(t, func(r *rig, m *messages) {
		hold := make(chan struct{})
		r.startEndless(t, hold)
		r.fleet.jam("c", false)
		pass(2*stuckAfter+2*checkPeriod, m)
		if n := pass(time.Minute, m); n != 0 {
			t.Errorf("systemd was notified %d times although a worker is stuck", n)
		}
		if row := r.row("c"); row.State != Waiting || !strings.Contains(row.Reason, "has stopped") {
			t.Errorf("the row of c: %s, %s", row.State, row.Reason)
		}
		r.fleet.behave("c", nil)
		r.fleet.release("c")
		close(hold)
		if n := pass(time.Minute, m); n != 12 {
			t.Errorf("systemd was notified %d times in a minute after the worker stopped, want 12", n)
		}
		if state := r.row("c").State; state != Running {
			t.Errorf("c is %s", state)
		}
	})
}

// TestLoopInKernel checks that no worker is restarted for a request that hangs inside the kernel, because a restart does
// not end it.
func TestLoopInKernel(t *testing.T) {
	underWatchdog(t, func(r *rig, m *messages) {
		r.fleet.jam("i1", true)
		if n := pass(10*time.Minute, m); n != 120 {
			t.Errorf("systemd was notified %d times in ten minutes, want 120", n)
		}
		if notes := r.fleet.notes(); len(notes) > 0 {
			t.Errorf("workers were concerned: %v", notes)
		}
		if reason := r.row("a").Reason; !strings.Contains(reason, "inside the kernel") || !strings.Contains(reason, "`dmesg`") {
			t.Errorf("the row's reason: %q", reason)
		}
		r.fleet.release("i1")
		pass(checkPeriod, m)
		if reason := r.row("a").Reason; reason != "" {
			t.Errorf("the row's reason afterwards: %q", reason)
		}
	})
}

// TestWorkerThatTheKernelHolds has a worker that can't stop because the kernel blocks it. The other workers must keep
// their process.
func TestWorkerThatTheKernelHolds(t *testing.T) {
	underWatchdog(t, func(r *rig, m *messages) {
		hold := make(chan struct{})
		defer close(hold)
		r.startEndless(t, hold)
		r.fleet.jam("c", true)
		remove(t, r.dir, "c")
		r.reload()
		if n := pass(10*time.Minute, m); n != 120 {
			t.Errorf("systemd was notified %d times in ten minutes, want 120", n)
		}
	})
}

// TestStoppedLoop stops the loop of a real worker. The supervisor stops notifying systemd, and replaces the worker when its
// loop continues. The other worker is unaffected. The test passes the time to the checks instead of waiting.
func TestStoppedLoop(t *testing.T) {
	l := startLoops(t)
	release := l.stop()
	before := l.row("b")
	if !l.check() {
		t.Error("systemd was not notified at once")
	}
	if !l.check() || l.row("a").State != Waiting {
		t.Errorf("the worker of the stopped loop is %s, want it replaced, and systemd notified", l.row("a").State)
	}
	if l.check() {
		t.Error("systemd was notified although the stopped loop keeps the worker from stopping")
	}
	after := l.row("b")
	if diff := cmp.Diff([]any{before.State, before.Restarts, before.Since}, []any{after.State, after.Restarts, after.Since}); diff != "" {
		t.Errorf("the other worker (-before +now):\n%s", diff)
	}

	release()
	await.Right(t, 10*time.Second, "the worker is replaced when its loop continues", func() string {
		if now := l.row("a"); now.State != Running || now.Restarts != 1 {
			return string(now.State) + ": " + now.Reason
		}
		return ""
	})
	if !l.check() {
		t.Error("systemd was not notified after the loop had continued")
	}
}

// loops is a supervisor with the real workers a and b, under a watchdog that fires only when the test calls check.
type loops struct {
	*real
	messages   *messages
	namespaceA string
}

// startLoops starts the supervisor and waits until both workers run.
func startLoops(t *testing.T) *loops {
	t.Helper()
	l := &loops{messages: new(messages)}
	l.real = startRealWith(t, func(opt *Options) { opt.Watchdog, opt.Notify = time.Hour, l.messages.add }, func(r *real) {
		namespaces := manyNamespaces(t, 2)
		for i, name := range []string{"a", "b"} {
			r.kernel.Add(t, namespaces[i], "nat")
			r.pair(name, namespaces[i], "sync")
		}
		l.namespaceA = namespaces[0]
	})
	await.Right(t, 10*time.Second, "both run", func() string {
		for _, name := range []string{"a", "b"} {
			if state := l.row(name).State; state != Running {
				return name + " is " + string(state)
			}
		}
		return ""
	})
	return l
}

func (l *loops) row(name string) Row {
	l.t.Helper()
	status, err := l.Status(context.Background(), []string{name})
	must(l.t, err)
	return status.Workers[0]
}

// stop stops the loop of worker a, until release is called or the test ends.
func (l *loops) stop() (release func()) {
	l.t.Helper()
	thread, err := l.pool.Get(l.namespaceA)
	must(l.t, err)
	stopped, goOn := make(chan struct{}), make(chan struct{})
	release = sync.OnceFunc(func() { close(goOn) })
	l.t.Cleanup(func() {
		release()
		thread.Release()
	})
	must(l.t, thread.Post(func() { close(stopped); <-goOn }))
	<-stopped
	return release
}

// check checks worker a as if it had not moved for stuckAfter, and reports whether systemd was then notified.
func (l *loops) check() (notified bool) {
	l.t.Helper()
	must(l.t, l.do(context.Background(), func() error {
		l.messages.watchdogs()
		for k := range l.stopping {
			k.ending += stuckAfter
		}
		l.checkPair(l.pairs["a"], stuckAfter)
		l.checkProgress(0)
		notified = l.messages.watchdogs() == 1
		return nil
	}))
	return notified
}
