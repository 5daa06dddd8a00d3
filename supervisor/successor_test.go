package supervisor

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSwappedInstances(t *testing.T) {
	inBubble(t, two(t), func(r *rig) {
		r.fleet.notes()
		write(t, r.dir, "a", files{instance: "i2", group: "1"})
		write(t, r.dir, "b", files{instance: "i1", group: "2"})
		r.reload()
		r.wantStates("a:running b:running")
		if a, b := r.row("a"), r.row("b"); a.Instance != "i2" || b.Instance != "i1" {
			t.Errorf("instances of a and b: %s and %s", a.Instance, b.Instance)
		}
	})
}

// TestSuccessorWaits checks that a worker that does not stop delays only its own successor.
func TestSuccessorWaits(t *testing.T) {
	inBubble(t, func(dir string, f *fleet) {
		two(t)(dir, f)
		f.behave("i1", func(ctx context.Context, ready func()) error {
			ready()
			<-ctx.Done()
			time.Sleep(time.Minute)
			return nil
		})
	}, func(r *rig) {
		if _, err := r.Restart(context.Background(), []string{"a"}, false); err != nil {
			t.Fatal(err)
		}
		row := r.row("a")
		if row.State != Waiting || !strings.Contains(row.Reason, "has stopped") {
			t.Errorf("row: %+v", row)
		}
		r.wantStates("a:waiting b:running")
		r.fleet.behave("i1", runsWell)
		time.Sleep(time.Minute)
		r.wantStates("a:running b:running")
	})
}

// TestSuccessor checks that a pair that changes to another instance keeps its worker until the new worker runs.
func TestSuccessor(t *testing.T) {
	inBubble(t, two(t), func(r *rig) {
		before := r.row("a")
		r.fleet.notes()
		r.fleet.behave("i3", missing)
		write(t, r.dir, "a", files{instance: "i3", group: "3", stats: 4000})
		if got := r.reload(); len(got.Changes) != 0 || len(got.Refused) != 1 {
			t.Errorf("reload: %+v", got)
		}
		row := r.row("a")
		if row.State != Running || row.Instance != "i1" || !strings.Contains(row.Reason, `instance "i" does not exist`) {
			t.Errorf("row: %+v", row)
		}
		r.wantStats()
		if got := r.reload(); len(got.Changes) != 0 {
			t.Errorf("reload: %+v", got)
		}
		r.wantNotes()
		// No other pair can have the old worker's instance yet.
		write(t, r.dir, "c", files{instance: "i1", group: "9"})
		r.reload()
		r.wantStates("a:running b:running c:waiting")
		r.fleet.behave("i3", nil)
		time.Sleep(1100 * time.Millisecond)
		r.wantNotes("start a/i3", "stop a/i1", "start c/i1")
		after := r.row("a")
		if after.Instance != "i3" || after.Reason != "" || after.Restarts != 1 || after.Since != before.Since {
			t.Errorf("row: %+v", after)
		}
		r.wantStats(4000)
		r.wantStates("a:running b:running c:running")
	})
}

// TestSuccessorGivenUp checks that the successor is stopped when the files return to the old content.
func TestSuccessorGivenUp(t *testing.T) {
	inBubble(t, two(t), func(r *rig) {
		before := r.row("a")
		r.fleet.notes()
		r.fleet.behave("i3", missing)
		write(t, r.dir, "a", files{instance: "i3", group: "3"})
		r.reload()
		write(t, r.dir, "a", files{instance: "i1", group: "1"})
		r.reload()
		r.fleet.behave("i3", nil)
		time.Sleep(5 * time.Second)
		r.wantNotes()
		if diff := cmp.Diff(before, r.row("a")); diff != "" {
			t.Errorf("row (-before +after):\n%s", diff)
		}
	})
}

// TestSuccessorOfADeadWorker checks that the successor becomes the pair's worker when the old worker has ended.
func TestSuccessorOfADeadWorker(t *testing.T) {
	inBubble(t, func(dir string, f *fleet) {
		two(t)(dir, f)
		f.behave("i1", runsFor(3*time.Second, errors.New("boom")))
	}, func(r *rig) {
		r.fleet.behave("i3", missing)
		write(t, r.dir, "a", files{instance: "i3", group: "3"})
		r.reload()
		time.Sleep(3100 * time.Millisecond)
		if row := r.row("a"); row.State != Waiting || row.Instance != "i3" || !strings.Contains(row.Reason, "does not exist") {
			t.Errorf("row: %+v", row)
		}
		r.fleet.behave("i3", nil)
		time.Sleep(2 * time.Second)
		r.wantStates("a:running b:running")
	})
}
