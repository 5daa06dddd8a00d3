package metrics

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"joolctl/configdir"
	"joolctl/internal/await"
	"joolctl/joolnl"
	"joolctl/replication"
	"joolctl/supervisor"
	"joolctl/syncwire"
	"joolctl/worker"
)

// fake is a worker with one peer and all counters of a module.
type fake struct {
	supervisor.Worker
	counters *joolnl.ModuleCounters
}

func (f fake) Run(ctx context.Context, ready func()) error {
	ready()
	<-ctx.Done()
	return nil
}

func (f fake) Rename(string)         {}
func (f fake) ModuleVersion() string { return "4.1.15" }
func (f fake) Turns() uint64         { return uint64(time.Now().UnixNano()) }

func (f fake) Peers() []replication.PeerInfo {
	now := time.Now()
	return []replication.PeerInfo{{Address: netip.MustParseAddr("fd64::2"), LastHeard: now, LiveUntil: now.Add(time.Second), ID: 1, Software: "joolctl", Module: 0x04010f00,
		Sync: syncwire.SyncYes, Sessions: 40000, Lag: replication.Lag{Known: true}}}
}

func (f fake) Sync() worker.SyncState {
	return worker.SyncState{Synced: syncwire.SyncYes, Answered: time.Now(), Sessions: 40000, Last: &replication.SyncReport{From: "fd64::2"}}
}

func (f fake) ModuleCounters(context.Context) (*joolnl.ModuleCounters, error) { return f.counters, nil }

// supervise runs a supervisor of many pairs until the end of the test.
func supervise(t *testing.T, pairs int) *supervisor.Supervisor {
	t.Helper()
	dir := t.TempDir()
	for i := range pairs {
		for file, text := range map[string]string{
			"netsocket": fmt.Sprintf(`{"multicast address": "233.252.%d.%d", "multicast port": "6464"}`, i/250, i%250+1), "modsocket": fmt.Sprintf(`{"instance": "i%d"}`, i),
		} {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("customer%d.%s.json", i, file)), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	counters := moduleCounters(t, "4.1.15", 1e9)
	ready := make(chan struct{})
	once := sync.OnceFunc(func() { close(ready) })
	s := supervisor.New(supervisor.Options{Dir: dir, Notify: func(string) { once() },
		NewWorker: func(configdir.Spec, *worker.Counters) supervisor.Worker { return fake{counters: counters} },
		OpenStats: func(configdir.Spec, func() worker.Stats) (supervisor.StatsServer, error) {
			return nil, errors.New("none")
		}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	<-ready
	await.Within(t, time.Minute, "all pairs are ready", func() bool {
		answer, err := s.Ready(t.Context(), nil, true, supervisor.ReadyOptions{})
		return err == nil && answer.Ready
	})
	return s
}

// TestSupervisorCost measures a whole scrape of a supervisor of 500 pairs, including the supervisor's part. It uses the
// fastest of several scrapes.
func TestSupervisorCost(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector takes time and memory")
	}
	x := New(supervise(t, manyPairs), sampleBuild, true)
	var fastest time.Duration
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const runs = 10
	size := 0
	for range runs {
		w := &discard{ResponseRecorder: httptest.NewRecorder()}
		began := time.Now()
		x.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		if took := time.Since(began); fastest == 0 || took < fastest {
			fastest = took
		}
		size = w.bytes
	}
	runtime.ReadMemStats(&after)
	memory := (after.TotalAlloc - before.TotalAlloc) / runs
	t.Logf("%d bytes of metrics: %v and %d bytes of memory", size, fastest, memory)
	if size < 5e6 || fastest > scrapeTime || memory > scrapeMemory {
		t.Errorf("a scrape of %d bytes takes %v and %d bytes, want %v and %d at most", size, fastest, memory, scrapeTime, scrapeMemory)
	}
}

// discard is a Writer that counts bytes.
type discard struct {
	*httptest.ResponseRecorder
	bytes int
}

func (d *discard) Write(b []byte) (int, error) {
	d.bytes += len(b)
	return len(b), nil
}
