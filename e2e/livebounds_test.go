package e2e

import (
	"slices"
	"testing"
	"time"

	"joolctl/e2e/guest"
)

// sessionsTook is a measurement of sessions that took so many milliseconds each.
func sessionsTook(variant, traffic string, lost int, millis ...int) guest.LiveLatency {
	m := guest.LiveLatency{LiveRun: guest.LiveRun{Variant: variant, Traffic: traffic}, Opened: len(millis) + lost, Lost: lost}
	for _, ms := range millis {
		m.Samples = append(m.Samples, guest.LiveSample{Took: time.Duration(ms) * time.Millisecond})
	}
	return m
}

// costOf is a measurement of steady traffic, with processor time in milliseconds.
func costOf(variant string, slice int, packets uint64, send, recv int) guest.LiveCost {
	return guest.LiveCost{
		LiveRun: guest.LiveRun{Variant: variant, Traffic: guest.LiveSteady}, Slice: slice, Packets: packets,
		SendCPU: time.Duration(send) * time.Millisecond, RecvCPU: time.Duration(recv) * time.Millisecond,
	}
}

func TestBroken(t *testing.T) {
	fast := slices.Repeat([]int{5}, 2000)
	for _, c := range []struct {
		name   string
		bounds LiveBounds
		live   guest.Live
		want   []string
	}{
		{"nothing measured", NewestBounds, guest.Live{}, nil},
		{"fast", NewestBounds, guest.Live{Latency: []guest.LiveLatency{sessionsTook(guest.LiveOurs, "10/s", 0, fast...)}}, nil},
		{"slow", NewestBounds, guest.Live{Latency: []guest.LiveLatency{sessionsTook(guest.LiveOurs, "10/s", 0, 11, 11, 31)}}, []string{
			"sessions opened at 10/s: p50 is 11ms, may be 10ms",
			"sessions opened at 10/s: p99 is 31ms, may be 30ms",
		}},
		{"no slower than C joold on an older version", OlderBounds, guest.Live{Latency: []guest.LiveLatency{
			sessionsTook(guest.LiveUpstream, "10/s", 0, 12, 12, 40), sessionsTook(guest.LiveOurs, "10/s", 0, 14, 14, 42),
		}}, nil},
		{"two of 2002 lost", NewestBounds, guest.Live{Latency: []guest.LiveLatency{sessionsTook(guest.LiveOurs, "10/s", 2, fast...)}}, nil},
		{"three of 2003 lost", NewestBounds, guest.Live{Latency: []guest.LiveLatency{sessionsTook(guest.LiveOurs, "10/s", 3, fast...)}}, []string{
			"sessions opened at 10/s: 0.15 % of 2003 take 100ms or more, may be 0.10 %; the machine itself stalled for half that time during 0 of them",
		}},
		{"the median ratio", NewestBounds, guest.Live{Costs: []guest.LiveCost{
			costOf(guest.LiveUpstream, 0, 1000, 10, 10), costOf(guest.LiveOurs, 0, 900, 9, 9),
			costOf(guest.LiveUpstream, 1, 1000, 10, 10), costOf(guest.LiveOurs, 1, 900, 18, 9),
			costOf(guest.LiveUpstream, 2, 1000, 10, 10), costOf(guest.LiveOurs, 2, 900, 18, 9),
		}}, []string{
			"steady, CPU time of J's daemon per packet that J translates: 2.00 times that of C joold, may be 1.30",
			"steady, packets that J translates in the same time: 0.90 times that beside C joold, must be 0.92",
		}},
		{"a key", NewestBounds, guest.Live{
			Latency: []guest.LiveLatency{
				sessionsTook(guest.LiveOurs, "100/s", 0, append(slices.Repeat([]int{20}, 20), fast[:1000]...)...),
				sessionsTook(guest.LiveKeyed, "100/s", 0, append(slices.Repeat([]int{25}, 20), fast[:1000]...)...),
			},
			Costs: []guest.LiveCost{costOf(guest.LiveOurs, 0, 1000, 10, 10), costOf(guest.LiveKeyed, 0, 1000, 12, 11)},
		}, []string{"a key, sessions opened at 100/s: p99 is 25ms, 1.25 times that without a key, may be 1.10"}},
		{"a key, few sessions", NewestBounds, guest.Live{
			Latency: []guest.LiveLatency{
				sessionsTook(guest.LiveOurs, "10/s", 0, 5, 5, 20), sessionsTook(guest.LiveKeyed, "10/s", 0, 6, 6, 25),
			},
		}, nil},
		{"a crash", NewestBounds, guest.Live{Crashes: []guest.LiveCrash{
			{LiveRun: guest.LiveRun{Variant: guest.LiveUpstream, Traffic: "3/s"}, Lost: []time.Duration{time.Second}},
			{LiveRun: guest.LiveRun{Variant: guest.LiveOurs, Traffic: "3/s"}, Lost: []time.Duration{99 * time.Millisecond}},
			{LiveRun: guest.LiveRun{Variant: guest.LiveOurs, Traffic: "10/s"}, Lost: []time.Duration{101 * time.Millisecond, time.Millisecond}},
		}}, []string{"TCP connections opened at 10/s: one was lost that was 101ms old at the crash, older than 100ms"}},
	} {
		if got := c.bounds.Broken(c.live); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
