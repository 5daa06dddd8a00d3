package supervisor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"joolctl/configdir"
	"joolctl/worker"
)

// TestChurn changes the files at random. No instance may ever have two workers at a time (inBubble checks this), and
// once the files are good again, all pairs must run.
func TestChurn(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { churn(t, rand.New(rand.NewPCG(seed, 0))) })
	}
}

// unreliable makes the workers of an instance fail, panic, stop late and refuse changes. draw returns true once in n times.
func (f *fleet) unreliable(instance string, draw func(n int) bool) {
	f.runs[instance] = func(ctx context.Context, ready func()) error {
		switch {
		case draw(4):
			return &worker.Missing{What: "something"}
		case draw(8):
			panic("ouch")
		}
		ready()
		<-ctx.Done()
		if draw(4) {
			time.Sleep(700 * time.Millisecond)
		}
		return nil
	}
	f.reconfigures[instance] = func(configdir.Spec) error {
		time.Sleep(100 * time.Millisecond)
		if draw(3) {
			return os.ErrInvalid
		}
		return nil
	}
}

func churn(t *testing.T, random *rand.Rand) {
	names := []string{"a", "b", "c", "d", "e"}
	calm := false
	inBubble(t, func(dir string, f *fleet) {
		for i := range 8 {
			// The lock is needed because many goroutines call it.
			f.unreliable(fmt.Sprintf("i%d", i), func(n int) bool {
				f.mu.Lock()
				defer f.mu.Unlock()
				return !calm && random.IntN(n) == 0
			})
		}
	}, func(r *rig) {
		pick := func(n int) int {
			r.fleet.mu.Lock()
			defer r.fleet.mu.Unlock()
			return random.IntN(n)
		}
		for range 60 {
			name := names[pick(len(names))]
			_ = os.Remove(r.dir + "/" + name + ".netsocket.json") // the file may not exist
			_ = os.Remove(r.dir + "/" + name + ".modsocket.json")
			if n := pick(8); n > 0 {
				write(t, r.dir, name, files{
					instance: fmt.Sprintf("i%d", pick(8)), group: fmt.Sprint(1 + pick(4)), ttl: 1 + pick(3),
					stats: 4000 + pick(3), broken: n == 1,
				})
			}
			if pick(5) == 0 {
				if _, err := r.Restart(context.Background(), nil, true); err != nil {
					t.Fatal(err)
				}
			}
			r.changed()
			time.Sleep(time.Duration(pick(1500)) * time.Millisecond)
		}
		r.fleet.mu.Lock()
		calm = true
		r.fleet.mu.Unlock()
		for i, name := range names {
			write(t, r.dir, name, files{instance: fmt.Sprintf("i%d", i), group: fmt.Sprint(i + 1), stats: 4100 + i})
		}
		r.reload()
		time.Sleep(2 * time.Minute)
		r.wantStates("a:running b:running c:running d:running e:running")
		for i, row := range r.status().Workers {
			if want := fmt.Sprintf("i%d", i); row.Instance != want || row.Reason != "" {
				t.Errorf("%s: instance %s, want %s; reason %q", row.Name, row.Instance, want, row.Reason)
			}
		}
		r.wantStats(4100, 4101, 4102, 4103, 4104)
	})
}
