package e2e

import (
	"maps"
	"slices"
	"time"

	"joolctl/e2e/guest"
)

// LiveLatency combines the rounds of one variant and traffic.
type LiveLatency struct {
	Took         []time.Duration // the shortest first
	Samples      []guest.LiveSample
	Opened, Lost int
	Rounds       []guest.LiveLatency
}

// LatencyOf combines the rounds of a variant and traffic.
func LatencyOf(live guest.Live, variant, traffic string) (l LiveLatency) {
	for _, m := range live.Latency {
		if m.Variant == variant && m.Traffic == traffic {
			l.Took = append(l.Took, m.Times()...)
			l.Samples = append(l.Samples, m.Samples...)
			l.Opened += m.Opened
			l.Lost += m.Lost
			l.Rounds = append(l.Rounds, m)
		}
	}
	slices.Sort(l.Took)
	return l
}

// Never is the latency of a session that did not arrive.
const Never = time.Hour

// Quantile is the time within which a share of all opened sessions arrived.
func (l LiveLatency) Quantile(part float64) time.Duration {
	i := min(l.Opened-1, int(part*float64(l.Opened)))
	if i < 0 || i >= len(l.Took) {
		return Never
	}
	return l.Took[i]
}

// Within is the share of all opened sessions that arrived in less than the limit.
func (l LiveLatency) Within(limit time.Duration) float64 {
	n, _ := slices.BinarySearch(l.Took, limit)
	return float64(n) / float64(max(1, l.Opened))
}

// Forwarded returns quantiles of the time that the sessions' packets took to n4.
func (l LiveLatency) Forwarded() func(part float64) time.Duration {
	var took []time.Duration
	for _, s := range l.Samples {
		took = append(took, s.Forwarded)
	}
	slices.Sort(took)
	return func(part float64) time.Duration {
		if len(took) == 0 {
			return Never
		}
		return took[min(len(took)-1, int(part*float64(len(took))))]
	}
}

// Late counts the samples of limit or more, and those of them that overlap with a stall.
func (l LiveLatency) Late(limit, stall time.Duration) (late, stalled int) {
	for _, s := range l.Samples {
		if s.Took < limit {
			continue
		}
		late++
		if s.Stall >= stall {
			stalled++
		}
	}
	return late, stalled
}

// LiveCrashes are crashes of one variant and traffic.
type LiveCrashes []guest.LiveCrash

// CrashesOf returns the crashes of a variant and traffic.
func CrashesOf(live guest.Live, variant, traffic string) (all LiveCrashes) {
	for _, m := range live.Crashes {
		if m.Variant == variant && m.Traffic == traffic {
			all = append(all, m)
		}
	}
	return all
}

// Whole counts the crashes that every connection above an age survived.
func (all LiveCrashes) Whole(older time.Duration) (n int) {
	for _, m := range all {
		if len(m.Lost) == 0 || m.Lost[0] <= older { // the oldest first
			n++
		}
	}
	return n
}

// Ratios divides a variant's value by another variant's in each slice. The result is sorted.
func Ratios(live guest.Live, variant, beside string, r LiveRatio) []float64 {
	return slices.Sorted(maps.Values(ratiosBySlice(live, variant, beside, r)))
}

// RoundRatios are the median ratios of the rounds, sorted.
func RoundRatios(live guest.Live, variant, beside string, r LiveRatio) (medians []float64) {
	rounds := make(map[int][]float64)
	for slice, ratio := range ratiosBySlice(live, variant, beside, r) {
		rounds[slice.round] = append(rounds[slice.round], ratio)
	}
	for _, ratios := range rounds {
		slices.Sort(ratios)
		medians = append(medians, Median(ratios))
	}
	slices.Sort(medians)
	return medians
}

type slice struct{ round, slice int }

func ratiosBySlice(live guest.Live, variant, beside string, r LiveRatio) map[slice]float64 {
	value := func(variant string) map[slice]float64 {
		values := make(map[slice]float64)
		for _, c := range live.Costs {
			if c.Variant == variant && c.Traffic == r.Traffic {
				values[slice{c.Round, c.Slice}] = r.Of(c)
			}
		}
		return values
	}
	values, bases := value(variant), value(beside)
	ratios := make(map[slice]float64)
	for at, base := range bases {
		if v, ok := values[at]; ok {
			ratios[at] = v / base
		}
	}
	return ratios
}

// Values of a LiveCost to compare.
func liveSender(c guest.LiveCost) float64   { return c.SendCPU.Seconds() / float64(liveUnits(c)) }
func liveReceiver(c guest.LiveCost) float64 { return c.RecvCPU.Seconds() / float64(liveUnits(c)) }
func livePackets(c guest.LiveCost) float64  { return float64(c.Packets) }

// liveUnits is the number of packets or sessions to divide the processor time by. Sessions count only if K stored them:
// a session that the module loses costs the daemons nothing.
func liveUnits(c guest.LiveCost) uint64 {
	if c.Traffic == guest.LiveNew {
		return max(1, c.Stored)
	}
	return max(1, c.Packets)
}

// LiveRatio is a value of one variant in relation to another's.
type LiveRatio struct {
	Traffic, Name string
	Of            func(guest.LiveCost) float64
	Receiver      bool // K's daemon; otherwise J's
	AtLeast       bool // a greater value is better
}

// LiveRatios lists the ratios that the table shows and the bounds check.
var LiveRatios = []LiveRatio{
	{guest.LiveSteady, "CPU time of J's daemon per packet that J translates", liveSender, false, false},
	{guest.LiveSteady, "CPU time of K's daemon per packet that J translates", liveReceiver, true, false},
	{guest.LiveSteady, "packets that J translates in the same time", livePackets, false, true},
	{guest.LiveNew, "CPU time of J's daemon per session that K gets", liveSender, false, false},
	{guest.LiveNew, "CPU time of K's daemon per session that K gets", liveReceiver, true, false},
}
