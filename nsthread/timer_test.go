package nsthread_test

import (
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/nsthread"
	"joolctl/nsthread/nstest"
)

func TestTimers(t *testing.T) {
	nstest.Need(t)
	th := get(t, nsthread.NewPool(), "")
	defer th.Release()
	tid := 0
	do(t, th, func() { tid = unix.Gettid() })
	var fired []string
	done := make(chan struct{})
	timer := func(name string) *nsthread.Timer {
		return th.NewTimer(func() {
			if unix.Gettid() != tid {
				t.Errorf("%s fired on a strange thread", name)
			}
			fired = append(fired, name)
			if name == "last" {
				close(done)
			}
		})
	}
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	do(t, th, func() {
		never, stopped, past := timer("never set"), timer("stopped"), timer("past")
		first, second, later, sooner, last := timer("first"), timer("second"), timer("later"), timer("sooner"), timer("last")
		never.Stop()
		last.Set(at(30))
		second.Set(at(20))
		stopped.Set(at(15))
		first.Set(at(10))
		later.Set(at(5)) // replaced by the next line
		later.Set(at(25))
		sooner.Set(at(1000))
		sooner.SetSooner(at(22))
		sooner.SetSooner(at(2000)) // later than the current setting: ignored
		past.SetSooner(at(-5))
		stopped.Stop()
		stopped.Stop()
	})
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("a timer did not fire")
	}
	if early := 30*time.Millisecond - time.Since(start); early > 0 {
		t.Errorf("the last fired %v too early", early)
	}
	do(t, th, func() {
		if want := []string{"past", "first", "second", "sooner", "later", "last"}; !slices.Equal(fired, want) {
			t.Errorf("fired %q, want %q", fired, want)
		}
	})
}

// TestTimerSetsItself checks that a timer whose function sets it again keeps firing while posted functions run.
func TestTimerSetsItself(t *testing.T) {
	nstest.Need(t)
	th := get(t, nsthread.NewPool(), "")
	defer th.Release()
	n := 0
	done := make(chan struct{})
	do(t, th, func() {
		var tick *nsthread.Timer
		tick = th.NewTimer(func() {
			if n++; n == 20 {
				close(done)
				return
			}
			tick.Set(time.Now().Add(time.Millisecond))
		})
		tick.Set(time.Now())
	})
	for range 20 {
		do(t, th, func() {})
	}
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("it stopped")
	}
}

// TestTimerSetByAnother sets a timer that is due before the one that the thread already waits for.
func TestTimerSetByAnother(t *testing.T) {
	nstest.Need(t)
	th := get(t, nsthread.NewPool(), "")
	defer th.Release()
	fired := make(chan struct{})
	do(t, th, func() {
		th.NewTimer(func() { t.Error("it is not due for an hour") }).Set(time.Now().Add(time.Hour))
	})
	do(t, th, func() {
		th.NewTimer(func() { close(fired) }).Set(time.Now().Add(time.Millisecond))
	})
	select {
	case <-fired:
	case <-time.After(patience):
		t.Fatal("it did not fire")
	}
}
