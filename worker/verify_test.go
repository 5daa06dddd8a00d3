package worker

import (
	"slices"
	"testing"
	"time"

	"joolctl/replication"
	"joolctl/session"
)

// TestVerify removes sessions on both sides without any counter that shows it, while both tables grow, so that their sizes do not
// show it either. The periodic verification finds the differences.
func TestVerify(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, 2)
	first, second := bed.standby(0, sessionsAt(0, 100)...), bed.standby(1)
	for _, h := range []*host{first, second} {
		h.current.VerifyPeriod = time.Second
	}
	first.start().alone()
	second.start()
	second.synced()
	become(t, first, second)

	lost := sessionsAt(1000, 6)
	first.instance.Sessions.Put(lost[:3]...)
	second.instance.Sessions.Put(lost[3:]...)
	more := sessionsAt(5000, 400)
	eventually(t, "both have all", func() bool {
		if len(more) > 0 { // the tables grow steadily
			first.report(more[0])
			more = more[1:]
		}
		has := func(h *host) bool {
			own := h.instance.Sessions.Records()
			return !slices.ContainsFunc(lost, func(want session.Record) bool {
				return !slices.ContainsFunc(own, func(r session.Record) bool { return r.Key() == want.Key() })
			})
		}
		return has(first) && has(second)
	})
	eventually(t, "it was a verification", func() bool {
		why := func(h *host) bool { l := h.Sync().Last; return l != nil && l.Why == replication.CauseVerification }
		return why(first) || why(second)
	})
}
