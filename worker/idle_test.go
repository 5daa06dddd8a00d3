package worker

import (
	"testing"
	"time"
)

// TestIdleLetsGo: what only traffic needs is let go of a minute after the last.
func TestIdleLetsGo(t *testing.T) {
	a, _ := hosts(t)
	h := newHost(t, jool4115, standbySpec(a)).start()
	h.instance.Multicast(entries(t, jool4115, 1, 2))
	eventually(t, "it is sent", func() bool { return h.counters.Ledger().Sent == 2 })
	holds := func(what string, ago time.Duration, want bool) {
		t.Helper()
		h.onThread(func(p *pumps) {
			now := time.Now()
			p.coalesce.Flush(now.Add(time.Hour), nil)
			p.active = now.Add(-ago)
			p.freeIdle(now)
			if got := !p.retransmit.Empty(); got != want {
				t.Errorf("%s datagrams are kept for retransmission: %v", what, got)
			}
		})
	}
	holds("a moment after", time.Second, true)
	holds("a minute after", time.Minute+time.Second, false)
}
