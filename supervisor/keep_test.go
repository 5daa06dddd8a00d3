package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/configdir"
	"joolctl/worker"
)

// kept runs a Keep over scripted workers on fake time, for the given time, and returns its reports: seconds since the
// start, state, restarts, reason.
func kept(t *testing.T, long time.Duration, log *slog.Logger, scripts ...func(context.Context, func()) error) []string {
	t.Helper()
	var reports []string
	synctest.Test(t, func(t *testing.T) {
		f := newFleet()
		start := time.Now()
		k := Keep{
			New: func() Worker {
				f.behave("i", scripts[0])
				if len(scripts) > 1 {
					scripts = scripts[1:]
				}
				return f.newWorker(configdir.Spec{Instance: "i"}, nil)
			},
			Report: func(c Condition) {
				if (c.Worker != nil) != (c.State == Running) {
					t.Errorf("%s with worker %v", c.State, c.Worker)
				}
				reports = append(reports, strings.TrimSpace(fmt.Sprintf("%.1f %s %d %s",
					time.Since(start).Seconds(), c.State, c.Restarts, c.Reason)))
			},
			Log:    log,
			Jitter: func() float64 { return 1 },
		}
		ctx, cancel := context.WithTimeout(t.Context(), long)
		defer cancel()
		k.Run(ctx)
	})
	return reports
}

// runsWell, fails and missing are functions that a fake worker can run.
func runsWell(ctx context.Context, ready func()) error {
	ready()
	<-ctx.Done()
	return nil
}

func runsFor(d time.Duration, err error) func(context.Context, func()) error {
	return func(ctx context.Context, ready func()) error {
		ready()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(d):
			return err
		}
	}
}

func fails(err error) func(context.Context, func()) error {
	return func(context.Context, func()) error { return err }
}

var missing = fails(&worker.Missing{What: `instance "i" does not exist`, Fix: "jool instance add i"})

func TestKeep(t *testing.T) {
	boom := errors.New("boom")
	const waits = `waiting 0 instance "i" does not exist; type: jool instance add i`
	tests := []struct {
		name    string
		long    time.Duration
		scripts []func(context.Context, func()) error
		want    []string
	}{
		{"well", time.Minute, []func(context.Context, func()) error{runsWell}, []string{"0.0 running 0"}},
		{"waits once, without restarts", time.Minute,
			[]func(context.Context, func()) error{missing, missing, missing, runsWell},
			[]string{"0.0 " + waits, "2.4 running 0"}},
		{"resumes after what it needs was gone", time.Minute,
			[]func(context.Context, func()) error{runsFor(5*time.Second, &worker.Missing{What: "gone"}), missing, runsWell},
			[]string{"0.0 running 0", "5.0 waiting 0 gone",
				"5.0 " + strings.Replace(waits, "waiting 0", "waiting 1", 1), "5.6 running 1"}},
		{"is in no hurry for what goes again at once", 1500 * time.Millisecond,
			[]func(context.Context, func()) error{runsFor(time.Millisecond, &worker.Missing{What: "gone"})},
			[]string{"0.0 running 0", "0.0 waiting 0 gone", "0.8 running 1", "0.8 waiting 1 gone"}},
		{"backs off, twice as long each time", time.Minute,
			[]func(context.Context, func()) error{fails(boom), fails(boom), fails(boom), runsWell},
			[]string{
				"0.0 backoff 0 failed: boom; next try at 2000-01-01T00:00:00Z",
				"0.1 backoff 1 failed: boom; next try at 2000-01-01T00:00:00Z",
				"0.3 backoff 2 failed: boom; next try at 2000-01-01T00:00:00Z",
				"0.7 running 3"}},
		{"forgets failures after a healthy minute", 2 * time.Minute,
			[]func(context.Context, func()) error{fails(boom), fails(boom), runsFor(time.Minute, boom), runsWell},
			[]string{
				"0.0 backoff 0 failed: boom; next try at 2000-01-01T00:00:00Z",
				"0.1 backoff 1 failed: boom; next try at 2000-01-01T00:00:00Z",
				"0.3 running 2",
				"60.3 backoff 2 failed: boom; next try at 2000-01-01T00:01:00Z",
				"60.4 running 3"}},
		{"remembers them before", 2 * time.Minute,
			[]func(context.Context, func()) error{fails(boom), fails(boom), runsFor(50*time.Second, boom), runsWell},
			[]string{
				"0.0 backoff 0 failed: boom; next try at 2000-01-01T00:00:00Z",
				"0.1 backoff 1 failed: boom; next try at 2000-01-01T00:00:00Z",
				"0.3 running 2",
				"50.3 backoff 2 failed: boom; next try at 2000-01-01T00:00:50Z",
				"50.7 running 3"}},
		{"an end without a reason is a failure", time.Minute,
			[]func(context.Context, func()) error{fails(nil), runsWell},
			[]string{"0.0 backoff 0 failed: the worker ended by itself; next try at 2000-01-01T00:00:00Z", "0.1 running 1"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, kept(t, test.long, nil, test.scripts...)); diff != "" {
				t.Errorf("reports (-want +got):\n%s", diff)
			}
		})
	}
}

func TestKeepPanic(t *testing.T) {
	var out bytes.Buffer
	got := kept(t, time.Minute, slog.New(slog.NewTextHandler(&out, nil)),
		func(context.Context, func()) error { panic("ouch") }, runsWell)
	want := []string{"0.0 backoff 0 failed: panic: ouch; next try at 2000-01-01T00:00:00Z", "0.1 running 1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
	if log := out.String(); !strings.Contains(log, "keep_test.go") {
		t.Errorf("the log has no stack: %s", log)
	}
	if n := strings.Count(out.String(), "stack="); n != 1 {
		t.Errorf("%d stacks in the log: %s", n, &out)
	}
}

// TestKeepPanicAtMaking makes the constructor of a worker panic.
func TestKeepPanicAtMaking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		k := Keep{
			New: func() Worker { panic("no worker") },
			Report: func(c Condition) {
				if c.State != Backoff || !strings.HasPrefix(c.Reason, "failed: panic: no worker; next try at") {
					t.Errorf("it is %s: %s", c.State, c.Reason)
				}
				if c.Restarts == 3 {
					cancel()
				}
			},
		}
		k.Run(ctx)
	})
}

// TestKeepWakes checks that a signal ends a wait at once, also a signal that arrives just before the wait. A signal does
// not end a backoff.
func TestKeepWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet()
		start, wake := time.Now(), make(chan struct{}, 1)
		var reports []string
		tries := []func(context.Context, func()) error{
			missing, missing, fails(errors.New("boom")), missing, runsWell,
		}
		k := Keep{
			New: func() Worker {
				f.behave("i", tries[0])
				tries = tries[1:]
				return f.newWorker(configdir.Spec{Instance: "i"}, nil)
			},
			Report: func(c Condition) {
				reports = append(reports, fmt.Sprintf("%.2f %s", time.Since(start).Seconds(), c.State))
			},
			Wake:   wake,
			Jitter: func() float64 { return 1 },
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go func() {
			for range 3 { // the third signal arrives during the backoff
				time.Sleep(10 * time.Millisecond)
				wake <- struct{}{}
			}
		}()
		k.Run(ctx)
		want := []string{"0.00 waiting", "0.02 backoff", "0.12 waiting", "0.12 running"}
		if diff := cmp.Diff(want, reports); diff != "" {
			t.Errorf("reports (-want +got):\n%s", diff)
		}
	})
}
