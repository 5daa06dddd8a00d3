package guest

import (
	"fmt"
	"testing"
	"time"
)

// TestStandbyBench measures the table of a standby with C joold and with joolctl, checks that joolctl stays within the
// bounds, and writes the rows to /out. With -short it measures less: C joold only for comparison with joolctl, and no
// row that TestStandby has.
func TestStandbyBench(t *testing.T) {
	enter(t, "standby")
	b := standbyBench{t: t, short: testing.Short(), lossy: losesBursts(module(t))}
	if !b.short && !b.lossy {
		b.cold(40_000)
		b.cold(200_000)
		b.cold(1_000_000)
		for _, percent := range []int{1, 5, 10} {
			b.loss(percent)
		}
	}
	if !b.lossy {
		b.merge(b.size(100_000, 20_000))
		b.refresh(b.size(40, 10))
		b.advertise(b.size(40_000, 10_000))
		b.latency()
		b.stall(b.size(200_000, 10_000))
		b.processorTime(b.size(40_000, 20_000))
		b.steadyTime(b.size(100, 40))
	}
	if !b.short {
		b.burst()
		b.away()
	}
	b.stale(b.size(10, 1))
	writeJSON(t, "/out/standby.json", b.rows)
}

type standbyBench struct {
	t     *testing.T
	short bool // smaller, and bounds matter, not rows
	lossy bool // the module loses bursts
	rows  []StandbyRow
}

// size is how much to measure.
func (b *standbyBench) size(full, short int) int {
	if b.short {
		return short
	}
	return full
}

// measurement words what it has measured.
type measurement func(t *testing.T, top *topology) string

// row runs a measurement in a topology of its own; nil: there is none.
func (b *standbyBench) row(what string, upstream, ours measurement) {
	if b.short {
		upstream = nil
	}
	b.compare(what, upstream, ours)
}

// compare is row for measurements whose bound is relative to C joold.
func (b *standbyBench) compare(what string, upstream, ours measurement) {
	r := StandbyRow{What: what}
	for _, m := range []struct {
		name    string
		measure measurement
		to      *string
	}{{"C joold", upstream, &r.Upstream}, {"ours", ours, &r.Ours}} {
		if m.measure != nil {
			b.t.Run(what+", "+m.name, func(t *testing.T) { *m.to = m.measure(t, newTopology(t)) })
		}
	}
	b.t.Logf("%+v", r)
	b.rows = append(b.rows, r)
}

// atMost fails the test if a time exceeds its bound.
func atMost(t *testing.T, what string, took, bound time.Duration) {
	t.Helper()
	if took > bound {
		t.Errorf("%s took %v, may take %v", what, took, bound)
	}
}

// seconds returns a duration as text.
func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
