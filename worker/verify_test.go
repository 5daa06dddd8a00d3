package worker

import (
	"slices"
	"testing"
	"time"

	"joolctl/replication"
	"joolctl/session"
	"joolctl/syncwire"
)

// TestVerify removes sessions on both sides without any counter that shows it, while both tables grow, so that their sizes do not
// show it either. The periodic verification finds the differences.
func TestVerify(t *testing.T) {
	t.Parallel()
	a, b := hosts(t)
	first, second := newStandby(t, jool4115, a, sessionsAt(0, 100)...), newStandby(t, jool4115, b)
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

// TestVerifyDue: when a worker asks for a table that nothing has called for.
func TestVerifyDue(t *testing.T) {
	a, b := hosts(t)
	first, h := newStandby(t, jool4115, a), newStandby(t, jool4115, b)
	h.current.VerifyPeriod = time.Minute
	first.start().alone()
	h.start()
	h.synced()
	late := time.Now()
	verified := late.Add(-2 * time.Minute)
	for _, c := range []struct {
		name   string
		set    func(p *pumps)
		at     time.Time
		wanted bool
	}{
		{"the period is not over", func(*pumps) {}, verified.Add(50 * time.Second), false},
		{"it is", func(*pumps) {}, late, true},
		{"no sessions have flowed", func(p *pumps) { p.active = verified.Add(-time.Second) }, late, false},
		{"alone", func(p *pumps) { p.resync.sync = syncwire.SyncAlone }, late, false},
		{"another resync is wanted", func(p *pumps) { p.resync.Cause = "start" }, late, false},
		{"one is under way", func(p *pumps) { p.resync.phase = asking }, late, false},
		{"switched off", func(p *pumps) { p.resync.period = 0 }, late, false},
		{"nobody is there", func(p *pumps) { p.peers.ForgetAll() }, late, false},
	} {
		h.onThread(func(p *pumps) {
			before := p.resync
			defer func() { p.resync = before }()
			p.resync.verified, p.active = verified, verified.Add(time.Second)
			c.set(p)
			p.resync.verify(c.at)
			if wanted := p.resync.Cause == replication.CauseVerification; wanted != c.wanted {
				t.Errorf("%s: wanted: %v", c.name, wanted)
			}
		})
	}
}
