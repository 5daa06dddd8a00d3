package guest

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// monitorSlack is long beside the 20 µs that Go's monitor sleeps at a time.
const monitorSlack = 20 * time.Millisecond

// slowMonitor lets the kernel delay this program's Go monitor until the test ends. While this program sends at full
// rate, the monitor would wake up every 70 µs on the processor of J's daemon and interrupt it each time.
func slowMonitor(t testing.TB) {
	t.Helper()
	// Go's runtime starts the monitor before all other threads, and thread ids ascend.
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	var ids []int
	for _, task := range tasks {
		if id, err := strconv.Atoi(task.Name()); err == nil && id != os.Getpid() {
			ids = append(ids, id)
		}
	}
	slack := fmt.Sprintf("/proc/%d/timerslack_ns", slices.Min(ids))
	before, err := os.ReadFile(slack)
	if err == nil {
		err = os.WriteFile(slack, []byte(strconv.FormatInt(monitorSlack.Nanoseconds(), 10)), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(slack, before, 0); err != nil {
			t.Error(err)
		}
	})
}
