package main

import (
	"flag"
	"os"
	"testing"
	"time"

	"joolctl/e2e/guest"
)

// example has two rounds of one traffic. The first two variants are ten times as slow as the third.
func example(variants ...string) []measured {
	live := guest.Live{Settings: map[string]uint64{"ss-flush-deadline": 4, "ss-capacity": 16384}}
	for round := range 2 {
		for i, variant := range variants {
			run := func(traffic string) guest.LiveRun {
				return guest.LiveRun{Variant: variant, Round: round, Traffic: traffic}
			}
			times := time.Duration(10 - 9*(i/2))
			took := times * time.Duration(5+round) * time.Millisecond
			live.Latency = append(live.Latency, guest.LiveLatency{
				LiveRun: run("10/s"), Opened: 3, Lost: 1, Resolution: time.Millisecond,
				Samples: []guest.LiveSample{{Took: took, Forwarded: time.Millisecond}, {Took: 7 * took, Forwarded: 2 * time.Millisecond, Stall: 9 * time.Millisecond}},
				Stalls:  guest.LiveStalls{P50: 200 * time.Microsecond, P99: 3 * time.Millisecond, Longest: 9 * time.Millisecond},
			})
			live.Costs = append(live.Costs,
				guest.LiveCost{LiveRun: run(guest.LiveSteady), Slice: round, Packets: 1000, SendCPU: took, RecvCPU: took / 2},
				guest.LiveCost{LiveRun: run(guest.LiveNew), Slice: round, Packets: 1000, Dropped: 100, Stored: 900, SendCPU: took, RecvCPU: took})
			live.Crashes = append(live.Crashes, guest.LiveCrash{
				LiveRun: run("3/s"), Connections: 20, Survivors: 18, YoungestSurvivor: took, Lost: []time.Duration{2 * took, took},
			})
		}
	}
	return []measured{{"4.1.15", live}}
}

var update = flag.Bool("update", false, "write the golden file again")

func TestTables(t *testing.T) {
	const file = "testdata/tables.md"
	got := tables(example(guest.LiveVariants...), example(guest.LiveOurs, "", guest.LiveKeyed))
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs, rewrite it with -update if this is right:\n%s", file, got)
	}
}
