package worker

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"joolctl/worker/workertest"
)

// TestPool4Differs: two hosts with the same pool4 in another order agree; when
// one's changes, both say so.
func TestPool4Differs(t *testing.T) {
	a, b := hosts(t)
	pool := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24")}
	var both []*host
	for _, ns := range []string{a, b} {
		spec := specFor(ns, group6)
		spec.Sequence = true
		both = append(both, newHost(t, jool4115, spec))
	}
	both[0].instance.Pool4, both[1].instance.Pool4 = slices.Clone(pool), slices.Clone(pool)
	slices.Reverse(both[1].instance.Pool4)
	differs := func(want ...string) func() bool {
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
	for _, h := range both {
		h.start()
	}
	eventually(t, "both agree", differs())
	both[1].instance.Set(func(i *workertest.Instance) { i.Pool4 = pool[:2] })
	for _, h := range both { // not to wait for it
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
