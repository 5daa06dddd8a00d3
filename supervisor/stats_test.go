package supervisor

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/replication"
)

func (r *rig) wantStats(ports ...uint16) {
	r.t.Helper()
	r.fleet.mu.Lock()
	defer r.fleet.mu.Unlock()
	if diff := cmp.Diff(ports, slices.Sorted(maps.Keys(r.fleet.statsOpen))); diff != "" {
		r.t.Errorf("open stats ports (-want +got):\n%s", diff)
	}
}

func TestStatsServers(t *testing.T) {
	inBubble(t, func(dir string, f *fleet) {
		write(t, dir, "a", files{instance: "i1", group: "1", stats: 4001})
		write(t, dir, "b", files{instance: "i2", group: "2", stats: 4002})
		write(t, dir, "c", files{instance: "i3", group: "3", stats: 4003})
		f.statsTaken[4003] = true
	}, func(r *rig) {
		r.wantStats(4001, 4002)
		row := r.row("c")
		if row.State != Running || !strings.Contains(row.Reason, "4003: address already in use") {
			t.Errorf("row of a taken port: %+v", row)
		}
		r.fleet.mu.Lock()
		r.fleet.statsTaken[4003] = false
		r.fleet.mu.Unlock()
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		r.wantStats(4001, 4002, 4003)
		if row := r.row("c"); row.Reason != "" {
			t.Errorf("row of a port that is free again: %+v", row)
		}
		r.fleet.notes()
		if _, err := r.Restart(context.Background(), nil, true); err != nil {
			t.Error(err)
		}
		r.wantStats(4001, 4002, 4003)

		write(t, r.dir, "a", files{instance: "i1", group: "1", stats: 4002})
		write(t, r.dir, "b", files{instance: "i2", group: "2", stats: 4001})
		remove(t, r.dir, "c")
		r.reload()
		r.wantStats(4001, 4002)
		for _, name := range []string{"a", "b"} {
			if row := r.row(name); row.Reason != "" || row.State != Running {
				t.Errorf("row: %+v", row)
			}
		}
	})
}

// TestStatusOfAStuckKernel checks that status waits for a stuck kernel no longer than kernelPatience, and that further
// requests start no more goroutines.
func TestStatusOfAStuckKernel(t *testing.T) {
	var release chan struct{}
	var asked atomic.Int64
	inBubble(t, func(dir string, f *fleet) {
		two(t)(dir, f)
		release = make(chan struct{})
		f.kernel = func(context.Context) (map[string]uint64, error) {
			asked.Add(1)
			<-release
			return nil, nil
		}
	}, func(r *rig) {
		for range 3 {
			start := time.Now()
			status := r.status()
			if took := time.Since(start); took > time.Second {
				t.Errorf("status took %v", took)
			}
			if len(status.Workers) != 2 || len(status.Workers[0].Kernel) != 0 {
				t.Errorf("status: %+v", status)
			}
		}
		if n := asked.Load(); n != 2 {
			t.Errorf("the kernel was asked %d times", n)
		}
		close(release)
		synctest.Wait()
	})
}

func TestAdvertise(t *testing.T) {
	inBubble(t, func(dir string, f *fleet) {
		two(t)(dir, f)
		f.behave("i1", missing)
	}, func(r *rig) {
		got, err := r.Advertise(context.Background(), nil, true)
		reason := `instance "i" does not exist; type: jool instance add i`
		want := []Outcome{
			{Name: "a", Error: "it is waiting, not running: " + reason, State: Waiting, Reason: reason},
			{Name: "b", State: Running, Advertise: &replication.Advertise{Total: 40000, Rate: 4000}},
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("Advertise: %v (-want +got):\n%s", err, diff)
		}
	})
}

func TestAdvertiseToAStuckKernel(t *testing.T) {
	inBubble(t, func(dir string, f *fleet) {
		write(t, dir, "a", files{instance: "i1"})
		f.advertise = func(context.Context) error { time.Sleep(time.Minute); return nil }
	}, func(r *rig) {
		for _, want := range []string{"took too long", "not answered yet"} {
			got, err := r.Advertise(context.Background(), []string{"a"}, false)
			if err != nil || !strings.Contains(got[0].Error, want) {
				t.Errorf("Advertise: %+v, %v; want %s", got, err, want)
			}
		}
		time.Sleep(time.Minute)
	})
}
