package supervisor

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"joolctl/configdir"
)

// TestPanicsOfQuestions makes a worker panic during requests that run on other goroutines. All other parts must keep
// working.
func TestPanicsOfQuestions(t *testing.T) {
	inBubble(t, func(dir string, f *fleet) {
		write(t, dir, "a", files{instance: "a"})
		write(t, dir, "b", files{instance: "b", group: "2"})
		f.kernel = func(context.Context) (map[string]uint64, error) { panic("counters") }
		f.advertise = func(context.Context) error { panic("table") }
		f.reconfigures["a"] = func(configdir.Spec) error { panic("configuration") }
	}, func(r *rig) {
		if row := r.row("b"); row.State != Running || len(row.Kernel) != 0 {
			t.Errorf("b is %s, with the counters %v", row.State, row.Kernel)
		}
		outcomes, err := r.Advertise(context.Background(), []string{"a"}, false)
		if err != nil || len(outcomes) != 1 || outcomes[0].Error != "panic: table" {
			t.Errorf("advertising: %+v, %v", outcomes, err)
		}
		write(t, r.dir, "a", files{instance: "a", ttl: 7})
		r.reload()
		synctest.Wait()
		if row := r.row("a"); !strings.Contains(row.Reason, "panic: configuration") || strings.Contains(row.Reason, "goroutine") {
			t.Errorf("a is %s: %s", row.State, row.Reason)
		}
	})
}
