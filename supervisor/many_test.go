package supervisor

import (
	"context"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/nsthread/nstest"
)

// manyNamespaces makes namespaces that are joined two by two.
func manyNamespaces(t testing.TB, n int) []string {
	t.Helper()
	var all []string
	for range n {
		all = append(all, nstest.New(t))
	}
	for i := 0; i < n; i += 2 {
		nstest.IP(t, all[i], "link add sync type veth peer name sync netns "+all[i+1], "link set sync up")
		nstest.IP(t, all[i+1], "link set sync up")
	}
	return all
}

// startMany starts a supervisor with a pair in each namespace, and returns how
// long it took until all ran.
func startMany(t testing.TB, namespaces []string) (*real, time.Duration) {
	t.Helper()
	var begin time.Time
	r := startReal(t, func(r *real) {
		for i, ns := range namespaces {
			r.kernel.Add(t, ns, "nat")
			r.pair(fmt.Sprintf("p%d", i), ns, "sync")
		}
		begin = time.Now()
	})
	for running := 0; running < len(namespaces); time.Sleep(5 * time.Millisecond) {
		running = 0
		// Not by status, which asks all kernels.
		err := r.do(context.Background(), func() error {
			for _, p := range r.pairs {
				if p.state == Running {
					running++
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > time.Minute {
			t.Fatalf("%d of %d run after %v", running, len(namespaces), took)
		}
	}
	return r, time.Since(begin)
}

// TestFortyStart bounds what forty pairs take to start.
func TestFortyStart(t *testing.T) {
	nstest.Need(t)
	_, took := startMany(t, manyNamespaces(t, 40))
	t.Logf("all run after %v", took)
	if took > 3*time.Second {
		t.Errorf("all run after %v, want at most 3 s", took)
	}
}

// BenchmarkMany measures the start and the idleness of many pairs on a kernel
// whose Jool is not real, and whose part of the work counts too. It wants
// -benchtime 1x.
func BenchmarkMany(b *testing.B) {
	for _, n := range []int{40, 500} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			nstest.Need(b)
			namespaces := manyNamespaces(b, n)
			for b.Loop() {
				_, took := startMany(b, namespaces)
				b.ReportMetric(float64(took.Milliseconds()), "ms-until-all-run")
				time.Sleep(tidyTimes*tidyAfter + 5*time.Second)
				before, begin := processorTime(b), time.Now()
				time.Sleep(20 * time.Second)
				b.ReportMetric(100*float64(processorTime(b)-before)/float64(time.Since(begin)), "%-of-a-core")
			}
		})
	}
}

// processorTime is this process's.
func processorTime(t testing.TB) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
