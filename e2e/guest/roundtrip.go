package guest

import (
	"slices"
	"testing"
	"time"

	"golang.org/x/net/icmp"
)

// roundTrips pings n4 from n6, one after the other over one session, until stop
// is closed, and returns how long each took, the shortest first.
func (top *topology) roundTrips(t testing.TB, stop <-chan struct{}) (took []time.Duration) {
	t.Helper()
	const id = 64
	top.n6.do(t, func() error {
		c, err := icmp.ListenPacket("ip6:ipv6-icmp", addr6)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := pingOnce(c, id); err != nil { // the first waits for the neighbours' addresses, and opens the session
			return err
		}
		for {
			select {
			case <-stop:
				return nil
			default:
			}
			began := time.Now()
			if err := pingOnce(c, id); err != nil {
				return err
			}
			took = append(took, time.Since(began))
		}
	})
	slices.Sort(took)
	return took
}

// quantile is the value below which part of the sorted values are.
func quantile(sorted []time.Duration, part float64) time.Duration {
	return sorted[min(len(sorted)-1, int(part*float64(len(sorted))))]
}

// tenths rounds to tenths of milliseconds.
func tenths(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
