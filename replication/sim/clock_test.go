package sim

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestClock(t *testing.T) {
	c := NewClock()
	var got []string
	note := func(s string) func() {
		return func() { got = append(got, c.Elapsed().String()+" "+s) }
	}
	c.After(2*time.Second, note("second"))
	cancelled := c.After(time.Second, note("cancelled"))
	c.After(time.Second, func() {
		note("first")()
		c.At(Epoch, note("scheduled in the past"))
		c.After(0, note("at once"))
	})
	c.After(2*time.Second, note("third"))
	cancelled.Cancel()
	cancelled.Cancel()
	c.After(3*time.Second, note("beyond the end"))
	c.Run(Epoch.Add(2500 * time.Millisecond))
	want := []string{"1s first", "1s scheduled in the past", "1s at once", "2s second", "2s third"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if c.Elapsed() != 2500*time.Millisecond {
		t.Errorf("the clock shows %v", c.Elapsed())
	}
	if none := (*Event)(nil); none.Pending() {
		t.Error("no event is pending")
	}
}

func TestStreams(t *testing.T) {
	same, again := stream(1, "link", 1, 2).Uint64(), stream(1, "link", 1, 2).Uint64()
	if same != again {
		t.Error("one purpose has two streams")
	}
	for name, other := range map[string]uint64{
		"seed": stream(2, "link", 1, 2).Uint64(), "purpose": stream(1, "node", 1, 2).Uint64(), "number": stream(1, "link", 2, 1).Uint64(),
	} {
		if other == same {
			t.Errorf("another %s has the same stream", name)
		}
	}
}
