package supervisor

import (
	"context"
	"log/slog"
	"testing"

	"joolctl/fdstore"
	"joolctl/fdstore/fdstoretest"
	"joolctl/worker"
)

// TestCountersGoOn restarts the supervisor under a service manager. Counters must continue by the pair's name, and the
// counters of a new pair must start at 0.
func TestCountersGoOn(t *testing.T) {
	dir, m := t.TempDir(), fdstoretest.New(t)
	write(t, dir, "a", files{instance: "a"})
	write(t, dir, "b", files{instance: "b", group: "2"})
	once := func(store *fdstore.Store, use func(name string, c *worker.Counters)) {
		t.Helper()
		f := newFleet()
		s := New(Options{Dir: dir, NewWorker: f.newWorker, OpenStats: f.openStats, Probe: f.probe, Store: store})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		if _, err := s.Restart(ctx, nil, true); err != nil { // returns when all pairs run
			t.Fatal(err)
		}
		f.mu.Lock()
		for _, w := range f.made {
			use(w.spec.Name, w.counters)
		}
		f.mu.Unlock()
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	counted := map[string]uint64{"a": 1, "b": 2}
	once(m.Open(t, slog.New(slog.DiscardHandler)), func(name string, c *worker.Counters) {
		c.Restore(map[string]uint64{"sent": counted[name], "socket_drops": 10 * counted[name]})
	})
	m.Await(t, 1)
	remove(t, dir, "b")
	write(t, dir, "c", files{instance: "c", group: "2"})
	counted = map[string]uint64{"a": 1, "c": 0}
	next := m.Open(t, slog.New(slog.DiscardHandler))
	seen := make(map[string]bool)
	once(next, func(name string, c *worker.Counters) {
		seen[name] = true
		if n := counted[name]; c.Ledger().Sent != n || c.Losses().SocketDrops != 10*n {
			t.Errorf("pair %s goes on at %+v %+v, want %d", name, c.Ledger(), c.Losses(), n)
		}
	})
	if !seen["a"] || !seen["c"] {
		t.Errorf("workers were made for %v", seen)
	}
}
