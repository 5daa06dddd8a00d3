package supervisor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"joolctl/configdir"
	"joolctl/events"
	"joolctl/internal/await"
	"joolctl/nsthread"
	"joolctl/nsthread/nstest"
	"joolctl/worker"
	"joolctl/worker/workertest"
)

// real is a supervisor with real workers in real network namespaces, on a kernel with a fake Jool module.
type real struct {
	t      testing.TB
	dir    string
	kernel *workertest.Kernel
	pool   *nsthread.Pool
	*Supervisor
}

// startReal starts a supervisor that runs until the end of the test. fill writes the directory.
func startReal(t testing.TB, fill func(*real)) *real {
	t.Helper()
	return startRealWith(t, func(*Options) {}, fill)
}

// startRealWith is startReal with changed options.
func startRealWith(t testing.TB, change func(*Options), fill func(*real)) *real {
	t.Helper()
	nstest.Need(t)
	r := &real{t: t, dir: t.TempDir(), kernel: workertest.NewKernel(0x04010f00), pool: nsthread.NewPool()}
	fill(r)
	opt := realOptions(r.dir, worker.Env{Threads: r.pool, Kernel: r.kernel, Claims: worker.NewClaims()})
	change(&opt)
	r.Supervisor = New(opt)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

// realOptions returns options for a supervisor with real workers.
func realOptions(dir string, env worker.Env) Options {
	return Options{
		Dir: dir,
		NewWorker: func(spec configdir.Spec, counters *worker.Counters) Worker {
			return worker.New(spec, env, counters)
		},
		Probe: func(spec configdir.Spec) error { return worker.Probe(spec, env) },
		OpenStats: func(spec configdir.Spec, stats func() worker.Stats) (StatsServer, error) {
			return worker.OpenStats(spec, stats, nil)
		},
		Events: events.New(env.Threads, nil),
	}
}

// pair writes a pair for the instance "nat" of a namespace, over one interface.
func (r *real) pair(name, ns, link string) { writeRealPair(r.t, r.dir, name, ns, link) }

func writeRealPair(t testing.TB, dir, name, ns, link string) {
	t.Helper()
	writePairFor(t, dir, name, ns, "nat", link, 6464)
}

// writePairFor writes a pair for any instance, with its own port.
func writePairFor(t testing.TB, dir, name, ns, instance, link string, port int) {
	t.Helper()
	interfaces := fmt.Sprintf(`, "in interface": %q, "out interface": %[1]q`, link)
	if link == "" { // the kernel chooses the interface
		interfaces = ""
	}
	for file, text := range map[string]string{
		"netsocket": fmt.Sprintf(`{"multicast address": "233.252.0.64", "multicast port": "%d"%s}`, port, interfaces),
		"modsocket": fmt.Sprintf(`{"instance": %q, "namespace": %q}`, instance, ns),
	} {
		if err := os.WriteFile(filepath.Join(dir, name+"."+file+".json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// only returns the row of the only pair; an empty Row if there is none.
func (r *real) only() Row {
	r.t.Helper()
	status, err := r.Status(context.Background(), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if len(status.Workers) == 0 {
		return Row{}
	}
	return status.Workers[0]
}

// within waits until the row of the only pair is as wanted, and returns how long that took.
func (r *real) within(limit time.Duration, state State, restarts int, reason string) time.Duration {
	r.t.Helper()
	start := time.Now()
	what := fmt.Sprintf("%s with %d restarts because of %q", state, restarts, reason)
	await.Right(r.t, limit, what, func() string {
		row := r.only()
		if row.State == state && row.Restarts >= restarts && strings.Contains(row.Reason, reason) {
			return ""
		}
		return fmt.Sprintf("%+v", row)
	})
	return time.Since(start)
}
