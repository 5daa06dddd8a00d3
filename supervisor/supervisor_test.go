package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/configdir"
	"joolctl/replication"
)

func fillTwo(dir string, _ *fleet) func(t *testing.T) {
	return func(t *testing.T) {
		write(t, dir, "a", files{instance: "i1", group: "1"})
		write(t, dir, "b", files{instance: "i2", group: "2"})
	}
}

// two fills a directory with the pairs a (i1) and b (i2).
func two(t *testing.T) func(string, *fleet) {
	return func(dir string, f *fleet) { fillTwo(dir, f)(t) }
}

// states returns the states of all pairs on one line.
func (r *rig) states() string {
	var all []string
	for _, row := range r.status().Workers {
		all = append(all, fmt.Sprintf("%s:%s", row.Name, row.State))
	}
	return strings.Join(all, " ")
}

func (r *rig) wantStates(want string) {
	r.t.Helper()
	if got := r.states(); got != want {
		r.t.Fatalf("states: %s, want %s", got, want)
	}
}

func (r *rig) wantNotes(want ...string) {
	r.t.Helper()
	if diff := cmp.Diff(want, r.fleet.notes()); diff != "" {
		r.t.Fatalf("what workers did (-want +got):\n%s", diff)
	}
}

func TestRunsAllPairs(t *testing.T) {
	inBubble(t, func(dir string, f *fleet) {
		for i := range 12 {
			write(t, dir, fmt.Sprintf("p%d", i), files{instance: fmt.Sprintf("i%d", i), group: fmt.Sprint(i + 1), namespace: "blue"})
		}
		write(t, dir, "bad", files{broken: true, instance: "x"})
	}, func(r *rig) {
		r.wantStates("bad:failed p0:running p1:running p2:running p3:running p4:running p5:running " +
			"p6:running p7:running p8:running p9:running p10:running p11:running")
		bad := r.row("bad")
		if !strings.Contains(bad.Reason, "bad.netsocket.json:1:") || !strings.Contains(bad.Reason, "joolctl check") {
			t.Errorf("reason of the bad one: %s", bad.Reason)
		}
		want := Row{Name: "p10", Namespace: "blue", Instance: "i10", Group: "233.252.0.11:6464", ConfiguredPeers: []ConfiguredPeer{}, Security: "off", State: Running, Since: r.row("p1").Since, Synced: "alone",
			Reasons:  []replication.Reason{{Code: replication.ModuleSilent, Text: "the kernel module does not answer", Remedy: "see `dmesg`"}},
			Warnings: []replication.Reason{}, Sessions: new(uint64(0)), DifferingCounters: []string{}, Exposure: &Exposure{}, Kernel: map[string]uint64{"JSTAT_JOOLD_SSS_ENOSPC": 3}, Peers: []Peer{}}
		if diff := cmp.Diff(want, r.row("p10")); diff != "" {
			t.Errorf("row (-want +got):\n%s", diff)
		}
	})
}

func TestOnlyChangedPairsAreReplaced(t *testing.T) {
	inBubble(t, two(t), func(r *rig) {
		r.fleet.notes()
		before := r.row("b")
		time.Sleep(5 * time.Second)

		unchanged := func(what string) {
			t.Helper()
			if got := r.reload(); len(got.Changes)+len(got.Refused) != 0 {
				t.Errorf("%s: %+v", what, got)
			}
			r.wantNotes()
		}
		write(t, r.dir, "b", files{instance: "i2", group: "2"})
		unchanged("a touched file")
		file := filepath.Join(r.dir, "b.modsocket.json")
		must(t, os.WriteFile(file, []byte("{\n\t\"instance\":\n\t\t\"i2\"\n}\n"), 0o644))
		unchanged("a reformatted file")
		must(t, os.Rename(file, filepath.Join(r.dir, "elsewhere")))
		must(t, os.Symlink("elsewhere", file))
		unchanged("a link to the file in its place")
		must(t, os.WriteFile(filepath.Join(r.dir, "equal"), []byte(`{"instance": "i2"}`), 0o644))
		must(t, os.Symlink("equal", file+".new"))
		must(t, os.Rename(file+".new", file))
		unchanged("a link swapped")

		write(t, r.dir, "a", files{instance: "i1", group: "1", ttl: 7})
		got := r.reload()
		want := Reload{Changes: []Change{{Name: "a", Action: "changed", State: Running}}, Refused: []Refusal{}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("reload (-want +got):\n%s", diff)
		}
		r.wantNotes("reconfigure a/i1 ttl 7")

		write(t, r.dir, "a", files{instance: "i3", group: "1"})
		r.reload()
		r.wantNotes("stop a/i1", "start a/i3")
		if got := r.row("a"); got.Restarts != 1 || !got.Since.After(before.Since) {
			t.Errorf("a's row: %+v", got)
		}

		write(t, r.dir, "c", files{instance: "i4", group: "4"})
		r.reload()
		r.wantNotes("start c/i4")
		remove(t, r.dir, "a")
		got = r.reload()
		want = Reload{Changes: []Change{{Name: "a", Action: "stopped"}}, Refused: []Refusal{}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("reload (-want +got):\n%s", diff)
		}
		r.wantNotes("stop a/i3")
		r.wantStates("b:running c:running")
		if diff := cmp.Diff(before, r.row("b")); diff != "" {
			t.Errorf("b's row (-before +after):\n%s", diff)
		}
	})
}

func TestLastKnownGood(t *testing.T) {
	inBubble(t, two(t), func(r *rig) {
		r.fleet.notes()
		before := r.row("a")
		time.Sleep(5 * time.Second)
		write(t, r.dir, "a", files{instance: "i1", broken: true})
		got := r.reload()
		if len(got.Refused) != 1 || got.Refused[0].Name != "a" || got.Refused[0].State != Running {
			t.Errorf("reload: %+v", got)
		}
		row := r.row("a")
		for _, part := range []string{"a.netsocket.json:1:", "since 2000-01-01T00:00:05Z", "last good files run on"} {
			if !strings.Contains(row.Reason, part) {
				t.Errorf("reason lacks %q: %s", part, row.Reason)
			}
		}
		if row.State != Running || row.Since != before.Since || row.Restarts != 0 {
			t.Errorf("row: %+v", row)
		}
		write(t, r.dir, "a", files{instance: "i1", group: "1"})
		r.reload()
		if diff := cmp.Diff(before, r.row("a")); diff != "" {
			t.Errorf("repaired (-before +after):\n%s", diff)
		}
		r.wantNotes()
	})
}

// TestTroubledReconfiguration checks that a configuration that can't start leaves the old one running, and is tried
// again until it can.
func TestTroubledReconfiguration(t *testing.T) {
	inBubble(t, two(t), func(r *rig) {
		r.fleet.notes()
		lacking := errors.New(`interface "eth9" does not exist`)
		r.fleet.mu.Lock()
		r.fleet.reconfigures["i1"] = func(configdir.Spec) error { return lacking }
		r.fleet.mu.Unlock()
		write(t, r.dir, "a", files{instance: "i1", group: "1", ttl: 9})
		got := r.reload()
		if len(got.Changes) != 0 || len(got.Refused) != 1 {
			t.Errorf("reload: %+v", got)
		}
		row := r.row("a")
		if row.State != Running || !strings.Contains(row.Reason, lacking.Error()) {
			t.Errorf("row: %+v", row)
		}
		r.wantNotes()
		r.fleet.mu.Lock()
		delete(r.fleet.reconfigures, "i1")
		r.fleet.mu.Unlock()
		time.Sleep(1100 * time.Millisecond)
		r.wantNotes("reconfigure a/i1 ttl 9")
		if row := r.row("a"); row.Reason != "" || row.State != Running {
			t.Errorf("row: %+v", row)
		}
	})
}

// TestReloadThatHangs checks that a change that the kernel does not complete in time is not reported as a success.
func TestReloadThatHangs(t *testing.T) {
	inBubble(t, two(t), func(r *rig) {
		release := make(chan struct{})
		defer close(release)
		r.fleet.mu.Lock()
		r.fleet.reconfigures["i1"] = func(configdir.Spec) error { <-release; return nil }
		r.fleet.mu.Unlock()
		write(t, r.dir, "a", files{instance: "i1", group: "1", ttl: 9})
		start := time.Now()
		got := r.reload()
		want := Reload{Changes: []Change{}, Refused: []Refusal{{"a", Running, []replication.Reason{
			{Code: replication.NoOutcome, Text: "the change has not taken effect within 5s; see joolctl status a"}}}}}
		if diff := cmp.Diff(want, got); diff != "" || time.Since(start) != patience {
			t.Errorf("after %v (-want +got):\n%s", time.Since(start), diff)
		}
	})
}

// TestMistypedInstance checks that an instance that does not exist does not end the running worker, although the new
// worker would need its socket.
func TestMistypedInstance(t *testing.T) {
	inBubble(t, two(t), func(r *rig) {
		r.fleet.notes()
		before := r.row("a")
		lacking := errors.New(`instance "i3" does not exist`)
		r.fleet.lack("i3", lacking)
		time.Sleep(5 * time.Second)
		write(t, r.dir, "a", files{instance: "i3", group: "1"})
		if got := r.reload(); len(got.Changes) != 0 || len(got.Refused) != 1 {
			t.Errorf("reload: %+v", got)
		}
		row := r.row("a")
		if row.State != Running || row.Instance != "i1" || row.Since != before.Since ||
			!strings.Contains(row.Reason, lacking.Error()) || !strings.Contains(row.Reason, "since 2000-01-01T00:00:05Z") {
			t.Errorf("row: %+v", row)
		}
		time.Sleep(5 * time.Second)
		r.wantNotes()

		write(t, r.dir, "a", files{instance: "i1", group: "1"})
		r.reload()
		r.wantNotes()
		if diff := cmp.Diff(before, r.row("a")); diff != "" {
			t.Errorf("gone back (-before +after):\n%s", diff)
		}

		write(t, r.dir, "a", files{instance: "i3", group: "1"})
		r.reload()
		r.fleet.lack("i3", nil)
		time.Sleep(1100 * time.Millisecond)
		r.wantNotes("stop a/i1", "start a/i3")
		if row := r.row("a"); row.State != Running || row.Instance != "i3" || row.Reason != "" {
			t.Errorf("row: %+v", row)
		}
	})
}

// TestPanickingProbe checks that a panic of a probe becomes the pair's reason.
func TestPanickingProbe(t *testing.T) {
	inBubble(t, two(t), func(r *rig) {
		r.opt.Probe = func(configdir.Spec) error { panic("boom") }
		write(t, r.dir, "a", files{instance: "i3", group: "1"})
		r.reload()
		if row := r.row("a"); row.State != Running || row.Instance != "i1" || !strings.Contains(row.Reason, "panic: boom (since") {
			t.Errorf("row: %+v", row)
		}
	})
}

func TestRenameKeepsTheWorker(t *testing.T) {
	inBubble(t, func(dir string, f *fleet) {
		write(t, dir, "a", files{instance: "i1", stats: 4000})
	}, func(r *rig) {
		before := r.row("a")
		time.Sleep(5 * time.Second)
		r.fleet.notes()
		rename(t, r.dir, "a", "z")
		got := r.reload()
		want := Reload{Changes: []Change{{Name: "z", Action: "renamed", From: "a", State: Running}}, Refused: []Refusal{}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("reload (-want +got):\n%s", diff)
		}
		r.wantNotes()
		before.Name = "z"
		if diff := cmp.Diff(before, r.row("z")); diff != "" {
			t.Errorf("row (-before +after):\n%s", diff)
		}
		if len(r.fleet.statsOpen) != 1 {
			t.Errorf("stats servers: %v", r.fleet.statsOpen)
		}
	})
}

func TestStopsInTimeThoughOneHangs(t *testing.T) {
	dir := t.TempDir()
	two(t)(dir, nil)
	synctest.Test(t, func(t *testing.T) {
		f := newFleet()
		release := make(chan struct{})
		f.behave("i1", func(ctx context.Context, ready func()) error { ready(); <-release; return nil })
		s := New(Options{Dir: dir, NewWorker: f.newWorker, OpenStats: f.openStats, Probe: f.probe})
		done := make(chan error, 1)
		go func() { done <- s.Run(t.Context()) }()
		synctest.Wait()
		start := time.Now()
		hung, err := s.Down(context.Background())
		if err != nil || len(hung) != 1 || hung[0] != "a" {
			t.Errorf("Down: %v, %v", hung, err)
		}
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("stopping took %v", took)
		}
		if _, err := s.Status(context.Background(), nil); !errors.Is(err, ErrStopping) {
			t.Errorf("Status after the end: %v", err)
		}
		close(release)
	})
}

func TestRestart(t *testing.T) {
	inBubble(t, two(t), func(r *rig) {
		r.fleet.notes()
		time.Sleep(5 * time.Second)
		got, err := r.Restart(context.Background(), []string{"b"}, false)
		if diff := cmp.Diff([]Outcome{{Name: "b", State: Running}}, got); diff != "" || err != nil {
			t.Errorf("Restart: %v (-want +got):\n%s", err, diff)
		}
		r.wantNotes("stop b/i2", "start b/i2")
		if made := r.fleet.made; made[len(made)-1].counters != made[1].counters && made[len(made)-1].counters != made[0].counters {
			t.Error("the new worker does not go on with the counters of the one before")
		}
		if row := r.row("b"); row.Restarts != 1 || row.Since.Second() != 5 {
			t.Errorf("row: %+v", row)
		}
		_, err = r.Restart(context.Background(), []string{"b", "x"}, false)
		if want := `there is no pair "x"; known are: a, b`; err == nil || err.Error() != want {
			t.Errorf("Restart of an unknown name: %v, want %s", err, want)
		}
		r.wantNotes()
	})
}

func TestRunFailsWithoutDirectory(t *testing.T) {
	err := New(Options{Dir: t.TempDir() + "/none"}).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "mkdir -p") {
		t.Errorf("Run: %v", err)
	}
}

// TestNotifiesSystemd starts, reloads and ends a supervisor, and checks the messages to systemd.
func TestNotifiesSystemd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, f := t.TempDir(), newFleet()
		two(t)(dir, f)
		var mu sync.Mutex
		var said []string
		s := New(Options{Dir: dir, NewWorker: f.newWorker, OpenStats: f.openStats, Probe: f.probe, Notify: func(message string) {
			mu.Lock()
			defer mu.Unlock()
			for line := range strings.Lines(message) {
				line, _, _ = strings.Cut(strings.TrimSpace(line), "USEC=")
				if !strings.HasPrefix(line, "STATUS=") {
					said = append(said, line)
				} else if n := len(said); n == 0 || said[n-1] != line {
					said = append(said, line)
				}
			}
		}})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		synctest.Wait()
		if _, err := s.Reload(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		got := slices.DeleteFunc(said, func(line string) bool {
			return strings.HasPrefix(line, "STATUS=") && !strings.Contains(line, "2 running")
		})
		want := []string{"STATUS=2 workers: 2 running, 0 waiting, 0 backoff, 0 failed", "READY=1", "RELOADING=1", "MONOTONIC_", "READY=1", "STOPPING=1"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}
