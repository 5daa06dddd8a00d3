package supervisor

import (
	"fmt"
	"testing"
	"time"

	"joolctl/nsthread/nstest"
	"joolctl/worker/workertest"
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
func startMany(t testing.TB, namespaces []string) (*apartProcess, time.Duration) {
	t.Helper()
	dir, kernel := t.TempDir(), workertest.NewKernel(0x04010f00)
	for i, ns := range namespaces {
		kernel.Add(t, ns, "nat")
		writeRealPair(t, dir, fmt.Sprintf("p%d", i), ns, "sync")
	}
	begin := time.Now()
	a := startApart(t, dir, kernel)
	return a, time.Since(begin)
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

// BenchmarkMany measures start, memory and idleness of a supervisor with many
// pairs, on a kernel whose Jool is not real and in another process. It wants
// -benchtime 1x.
func BenchmarkMany(b *testing.B) {
	for _, n := range []int{40, 500} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			nstest.Need(b)
			namespaces := manyNamespaces(b, n)
			for b.Loop() {
				a, took := startMany(b, namespaces)
				b.ReportMetric(float64(took.Milliseconds()), "ms-until-all-run")
				time.Sleep(tidyTimes*tidyAfter + 5*time.Second)
				before, begin := a.processorTime(b), time.Now()
				time.Sleep(30 * time.Second)
				b.ReportMetric(100*float64(a.processorTime(b)-before)/float64(time.Since(begin)), "%-of-a-core")
				b.ReportMetric(a.kB(b, "VmRSS")/1024, "MiB-resident")
				b.ReportMetric(a.kB(b, "RssAnon")/1024, "MiB-anonymous")
			}
		})
	}
}
