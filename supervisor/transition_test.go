package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/worker"
)

// TestTransitions moves pairs through every transition in the list. Every test with a rig checks that no other
// transition happens.
func TestTransitions(t *testing.T) {
	var fate atomic.Pointer[error] // the error of the worker's Run; nil: it runs
	ended := func() error {
		if err := fate.Load(); err != nil {
			return *err
		}
		return nil
	}
	inBubble(t, func(dir string, f *fleet) {
		f.behave("i1", func(ctx context.Context, ready func()) error {
			if err := ended(); err != nil {
				return err
			}
			ready()
			for ended() == nil {
				select {
				case <-ctx.Done():
					return nil
				case <-time.After(time.Second):
				}
			}
			return ended()
		})
	}, func(r *rig) {
		good, bad := files{instance: "i1"}, files{instance: "i1", broken: true}
		steps := []struct {
			fate error
			do   func()
			want State
		}{
			{nil, func() { write(t, r.dir, "a", bad) }, Failed},
			{&worker.Missing{What: "instance"}, func() { write(t, r.dir, "a", good) }, Waiting},
			{nil, func() { write(t, r.dir, "a", bad) }, Failed},
			{errors.New("boom"), func() { write(t, r.dir, "a", good) }, Backoff},
			{errors.New("boom"), func() { write(t, r.dir, "a", bad) }, Failed},
			{errors.New("boom"), func() { write(t, r.dir, "a", good) }, Backoff},
			{&worker.Missing{What: "instance"}, nil, Waiting},
			{nil, nil, Running},
			{&worker.Missing{What: "instance"}, nil, Waiting},
			{nil, nil, Running},
			{errors.New("boom"), nil, Backoff},
			{nil, nil, Running},
			{nil, func() { write(t, r.dir, "a", bad) }, Running},
			{nil, func() { remove(t, r.dir, "a") }, ""},
			{nil, func() { write(t, r.dir, "a", good) }, Running},
		}
		for i, step := range steps {
			fate.Store(nil)
			if step.fate != nil {
				fate.Store(&step.fate)
			}
			if step.do != nil {
				step.do()
				r.reload()
			}
			time.Sleep(time.Minute + time.Second)
			synctest.Wait()
			got := State("")
			if rows := r.status().Workers; len(rows) > 0 {
				got = rows[0].State
			}
			if got != step.want {
				t.Errorf("step %d: %q, want %q", i, got, step.want)
			}
		}
		seen := make(map[string]bool)
		for _, m := range r.moves {
			seen[fmt.Sprint(m.from, m.to)] = true
		}
		for _, want := range transitions {
			if !seen[fmt.Sprint(want.from, want.to)] {
				t.Errorf("nothing went from %q to %q", want.from, want.to)
			}
		}
	})
}

// TestStateDiagram checks that the diagram in docs/architecture.md has the same transitions as the code.
func TestStateDiagram(t *testing.T) {
	text, err := os.ReadFile("../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, tr := range transitions {
		from := string(tr.from)
		if from == "" {
			from = "[*]"
		}
		want = append(want, fmt.Sprintf("%s --> %s: %s", from, tr.to, tr.when))
	}
	for _, state := range []State{Running, Waiting, Backoff, Failed} {
		want = append(want, fmt.Sprintf("%s --> [*]: files deleted", state))
	}
	diagram := regexp.MustCompile("(?s)```mermaid\nstateDiagram-v2\n(.*?)```").FindStringSubmatch(string(text))
	if diagram == nil {
		t.Fatal("no state diagram in docs/architecture.md")
	}
	for line := range strings.Lines(diagram[1]) {
		got = append(got, strings.TrimSpace(line))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/architecture.md (-code +docs):\n%s", diff)
	}
}
