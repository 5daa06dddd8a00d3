package worker

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"joolctl/joolnl"
	"joolctl/worker/workertest"
)

// TestPool4Differs runs two hosts whose pool4 is equal, but in another order: they show no difference. After one pool4 has changed,
// both show it.
func TestPool4Differs(t *testing.T) {
	bed := newTestbed(t, 2)
	pool := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24")}
	var both []*host
	for i := range bed.ns {
		both = append(both, bed.host(i))
		both[i].current.Sequence = true
	}
	both[0].instance.Pool4, both[1].instance.Pool4 = slices.Clone(pool), slices.Clone(pool)
	slices.Reverse(both[1].instance.Pool4)
	differs := func(want ...string) func() bool { return bothDiffer(both, want...) }
	for _, h := range both {
		h.start()
	}
	eventually(t, "both agree", differs())
	both[1].instance.Set(func(i *workertest.Instance) { i.Pool4 = pool[:2] })
	for _, h := range both { // read pool4 now instead of after pool4Every
		if err := h.onPumps(t.Context(), func(p *pumps) error {
			p.pool4Due = time.Time{}
			p.refreshPool4(time.Now())
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "both differ", differs("pool4"))
}

// bothDiffer returns a function that reports whether each of two hosts knows the other, and shows exactly these differences.
func bothDiffer(both []*host, want ...string) func() bool {
	return func() bool {
		for _, h := range both {
			peers := h.Peers()
			if len(peers) != 1 || peers[0].Software == "" || !slices.Equal(peers[0].Differs, want) {
				return false
			}
		}
		return true
	}
}

// TestSettingsDiffer runs two hosts whose instances have different settings, or whose modules do not have the same settings.
func TestSettingsDiffer(t *testing.T) {
	const asap, deadline, capacity, payload = 28, 29, 30, 31
	for _, c := range []struct {
		name          string
		first, second joolnl.Version
		settings      map[int]uint32 // of the second
		want          []string
	}{
		{"the same", jool4115, jool4115, nil, nil},
		{"timeouts", jool4115, jool4115, map[int]uint32{20: 1000, 21: 1000, 22: 1000, 23: 1000},
			[]string{"tcp-est-timeout", "tcp-trans-timeout", "udp-timeout", "icmp-timeout"}},
		{"settings of ss", jool4115, jool4115, map[int]uint32{deadline: 1000, capacity: 1024, payload: 1200},
			[]string{"ss-capacity", "ss-flush-deadline", "ss-max-payload"}},
		{"ss-flush-asap", jool419, jool419, map[int]uint32{asap: 1}, []string{"ss-flush-asap"}},
		{"ss-flush-asap, which one module does not have", jool4115, jool419, map[int]uint32{asap: 1}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bed := newTestbed(t, 2)
			both := []*host{bed.standby(0).of(c.first), bed.standby(1).of(c.second)}
			both[1].instance.Settings = c.settings
			for _, h := range both {
				h.start()
			}
			eventually(t, "they differ", bothDiffer(both, c.want...))
		})
	}
}
