package supervisor

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"joolctl/internal/await"
	"joolctl/internal/hostload"
	"joolctl/nsthread/nstest"
	"joolctl/worker/workertest"
)

// manyNamespaces makes namespaces that are linked in twos.
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

// startMany starts a supervisor with one pair in each namespace, and returns how long it took until all ran.
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

// TestFortyStart limits the time that forty pairs take to start. The time during which other programs use the processors
// does not count.
func TestFortyStart(t *testing.T) {
	nstest.Need(t)
	namespaces := manyNamespaces(t, 40)
	load, err := hostload.Start()
	if err != nil {
		t.Fatal(err)
	}
	a, took := startMany(t, namespaces)
	others, err := load.Others(a.processorTime(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("all run after %v; other programs used %.0f %% of the processors", took, 100*others)
	if free := time.Duration((1 - others) * float64(took)); free > 3*time.Second {
		t.Errorf("all run after %v, of which the processors were free for %v; want at most 3 s", took, free)
	}
}

// TestThousandBroken starts forty pairs beside a thousand pairs of one namespace whose instances don't exist, and one
// good pair in that namespace.
func TestThousandBroken(t *testing.T) {
	namespaces := manyNamespaces(t, 42)
	troubled, namespaces := namespaces[0], namespaces[2:]
	r := startReal(t, func(r *real) {
		r.kernel.Add(t, troubled, "nat")
		r.pair("neighbour", troubled, "sync")
		for i, ns := range namespaces {
			r.kernel.Add(t, ns, "nat")
			r.pair(fmt.Sprintf("other%d", i), ns, "sync")
		}
		for i := range 1000 {
			writePairFor(t, r.dir, fmt.Sprintf("broken%d", i), troubled, fmt.Sprintf("gone%d", i), "sync", 7000+i)
		}
	})
	count := func(rows []Row, names string, state State, reason string) (n int) {
		for _, row := range rows {
			if strings.HasPrefix(row.Name, names) && row.State == state && strings.Contains(row.Reason, reason) {
				n++
			}
		}
		return n
	}
	await.Right(t, time.Minute, "all pairs have started", func() string {
		status, err := r.Status(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		rows := status.Workers
		others, neighbours := count(rows, "other", Running, ""), count(rows, "neighbour", Running, "")
		broken := count(rows, "broken", Waiting, "does not exist") // known after the pair's first attempt
		if broken == 1000 && others < len(namespaces) {
			t.Fatalf("the broken pairs have all had their turn, and only %d of %d others run", others, len(namespaces))
		}
		if others < len(namespaces) || neighbours < 1 || broken < 1000 {
			return fmt.Sprintf("%d others and %d neighbours run, %d broken ones wait", others, neighbours, broken)
		}
		return ""
	})
}

// BenchmarkMany measures the start time, the memory and the idle load of a supervisor with many pairs, in a process of
// its own, on a kernel with a fake Jool module. It needs -benchtime 1x.
func BenchmarkMany(b *testing.B) {
	for _, n := range []int{40, 500} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			nstest.Need(b)
			namespaces := manyNamespaces(b, n)
			for b.Loop() {
				a, took := startMany(b, namespaces)
				b.ReportMetric(float64(took.Milliseconds()), "ms-until-all-run")
				// The benchmark measures real time: that of an idle process, after it has returned the memory that only
				// the start needed.
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
