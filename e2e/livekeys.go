package e2e

import (
	"fmt"
	"time"

	"joolctl/e2e/guest"
)

// KeyQuantiles are the quantiles of the latency that are compared with a key and without.
var KeyQuantiles = []float64{0.5, 0.99}

// KeyBounds are the greatest ratios of joolctl with a key to joolctl without. A bound of 0 is not checked. The processor time has no
// bound here: the emulator takes hundreds of times as long as a real processor for the cipher's instructions, and ten times as long for
// others. TestSealedCost, whose machine counts instructions, has that bound.
type KeyBounds struct{ Latency float64 }

// fewest is how many latencies above a quantile it takes to compare that quantile.
const fewest = 10

// KeyLatency is the ratio of a quantile with a key to the one without; 0 if one of them was not measured.
func KeyLatency(live guest.Live, traffic string, q float64) float64 {
	without, with := LatencyOf(live, guest.LiveOurs, traffic), LatencyOf(live, guest.LiveKeyed, traffic)
	if without.Opened == 0 || with.Opened == 0 {
		return 0
	}
	return float64(with.Quantile(q)) / float64(without.Quantile(q))
}

// Broken describes each bound that joolctl with a key breaks.
func (b KeyBounds) Broken(live guest.Live) (broken []string) {
	for _, traffic := range guest.LiveTraffics {
		for _, q := range KeyQuantiles {
			// Times that two polls of the standby cannot tell apart are equal.
			keyed := LatencyOf(live, guest.LiveKeyed, traffic)
			took, without := keyed.Quantile(q), LatencyOf(live, guest.LiveOurs, traffic).Quantile(q)
			enough := (1-q)*float64(keyed.Opened) >= fewest
			if r := KeyLatency(live, traffic, q); b.Latency > 0 && enough && r > b.Latency && took > without+pollsApart {
				broken = append(broken, fmt.Sprintf("a key, sessions opened at %s: p%.0f is %v, %.2f times that without a key, may be %.2f",
					traffic, 100*q, took.Round(100*time.Microsecond), r, b.Latency))
			}
		}
	}
	return broken
}
