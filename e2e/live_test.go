package e2e

import (
	"testing"

	"joolctl/e2e/guest"
	"joolctl/e2e/lab/labtest"
)

// TestLive is the short form of bench-live, without the cost. Its bounds are loose, because the machines run in real time on
// a host that may be busy.
func TestLive(t *testing.T) {
	l := labtest.Prepare(t)
	programs, err := build()
	if err != nil {
		t.Fatal(err)
	}
	measure := func(t *testing.T, o LiveOptions) {
		o.Jool, o.Short, o.Args, o.Stdout = l.Newest(), true, verbose(), t.Output()
		live, err := programs.RunLive(t.Context(), l, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, broken := range ShortBounds.Broken(live) {
			t.Error(broken)
		}
	}
	t.Run("one machine", func(t *testing.T) {
		measure(t, LiveOptions{
			Rows: []string{"latency"}, Traffic: []string{"10/s", guest.LiveBurst}, Variants: []string{guest.LiveOurs}, Rounds: 1,
		})
	})
	t.Run("crash", func(t *testing.T) {
		measure(t, LiveOptions{Rows: []string{LiveCrash}, Variants: []string{guest.LiveOurs}, Crashes: 1})
	})
}
