package e2e

import (
	"fmt"
	"time"

	"joolctl/e2e/guest"
)

// LiveBounds are bounds for joolctl. A bound of 0 is not checked.
type LiveBounds struct {
	// Single is for sessions opened one at a time, Burst for guest.LiveBurst.
	Single, Burst LatencyBounds
	// NoWorse raises a latency's bound to the latency of C joold with default settings, plus pollsApart.
	NoWorse bool
	// Sender and Receiver are the greatest ratios of processor time, Packets is the smallest ratio of packets.
	Sender, Receiver, Packets float64
	// Key bounds what a key costs.
	Key KeyBounds
	// Survives is the age from which on every connection must survive a crash.
	Survives time.Duration
}

// LatencyBounds has bounds for quantiles, and for the share of sessions that take LateFrom or more.
type LatencyBounds struct {
	P50, P99 time.Duration
	Late     float64
}

// pollsApart is the time between two polls of the standby, within which latencies cannot be told apart.
const pollsApart = 2 * time.Millisecond

// LateFrom is the shortest latency that counts as late.
const LateFrom = 100 * time.Millisecond

var (
	// NewestBounds are the bounds on the newest Jool.
	NewestBounds = LiveBounds{
		Single: LatencyBounds{P50: 10 * time.Millisecond, P99: 30 * time.Millisecond, Late: 0.001},
		Burst:  LatencyBounds{P50: 30 * time.Millisecond, P99: 60 * time.Millisecond},
		Sender: 1.3, Receiver: 1.15, Packets: 0.92,
		Key:      KeyBounds{Latency: 1.1},
		Survives: 100 * time.Millisecond,
	}
	// OlderBounds are the bounds on older versions of Jool.
	OlderBounds = LiveBounds{Single: NewestBounds.Single, Burst: NewestBounds.Burst, NoWorse: true, Sender: 1.3, Receiver: 1.15, Packets: 0.92}
	// ShortBounds are the bounds of `make ci`, whose host may be busy. TestStandby bounds the processor time, by instructions: a
	// thread is also charged for the time in which the host runs other programs.
	ShortBounds = LiveBounds{
		Single:   LatencyBounds{P50: 100 * time.Millisecond},
		Burst:    LatencyBounds{P50: 100 * time.Millisecond},
		Survives: time.Second,
	}
)

// Median is the middle one of sorted values.
func Median(sorted []float64) float64 { return sorted[len(sorted)/2] }

// Broken describes each bound that joolctl breaks.
func (b LiveBounds) Broken(live guest.Live) (broken []string) {
	for _, traffic := range guest.LiveTraffics {
		if l := LatencyOf(live, guest.LiveOurs, traffic); l.Opened > 0 {
			broken = append(broken, b.latency(traffic, l, LatencyOf(live, guest.LiveUpstream, traffic))...)
		}
	}
	for _, r := range LiveRatios {
		for _, beside := range guest.LiveVariants[:2] {
			if ratios := Ratios(live, guest.LiveOurs, beside, r); len(ratios) > 0 {
				broken = append(broken, b.ratio(r, beside, Median(ratios))...)
			}
		}
	}
	broken = append(broken, b.Key.Broken(live)...)
	for _, m := range live.Crashes {
		if m.Variant == guest.LiveOurs && len(m.Lost) > 0 && m.Lost[0] > b.Survives {
			broken = append(broken, fmt.Sprintf("TCP connections opened at %s: one was lost that was %v old at the crash, older than %v", m.Traffic, m.Lost[0].Round(100*time.Microsecond), b.Survives))
		}
	}
	return broken
}

func (b LiveBounds) latency(traffic string, ours, upstream LiveLatency) (broken []string) {
	bound := b.Single
	if traffic == guest.LiveBurst {
		bound = b.Burst
	}
	if b.NoWorse {
		bound.P50, bound.P99 = max(bound.P50, upstream.Quantile(0.5)+pollsApart), max(bound.P99, upstream.Quantile(0.99)+pollsApart)
	}
	for _, q := range []struct {
		name  string
		part  float64
		bound time.Duration
	}{{"p50", 0.5, bound.P50}, {"p99", 0.99, bound.P99}} {
		if took := ours.Quantile(q.part); q.bound > 0 && took > q.bound {
			broken = append(broken, fmt.Sprintf("sessions opened at %s: %s is %v, may be %v", traffic, q.name, took.Round(100*time.Microsecond), q.bound))
		}
	}
	if late := 1 - ours.Within(LateFrom); bound.Late > 0 && late > bound.Late {
		_, stalled := ours.Late(LateFrom, LateFrom/2)
		broken = append(broken, fmt.Sprintf("sessions opened at %s: %.2f %% of %d take %v or more, may be %.2f %%; the machine itself stalled for half that time during %d of them",
			traffic, 100*late, ours.Opened, LateFrom, 100*bound.Late, stalled))
	}
	return broken
}

func (b LiveBounds) ratio(r LiveRatio, beside string, is float64) []string {
	least, most := 0.0, 0.0
	switch {
	case r.AtLeast:
		least = b.Packets
	case r.Receiver:
		most = b.Receiver
	default:
		most = b.Sender
	}
	if least > 0 && is < least {
		return []string{fmt.Sprintf("%s, %s: %.2f times that beside %s, must be %.2f", r.Traffic, r.Name, is, beside, least)}
	}
	if most > 0 && is > most {
		return []string{fmt.Sprintf("%s, %s: %.2f times that of %s, may be %.2f", r.Traffic, r.Name, is, beside, most)}
	}
	return nil
}
