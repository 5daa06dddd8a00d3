package worker

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"joolctl/replication"
	"joolctl/session"
)

// fillTouched has as many other sessions reported during a resync as it remembers.
func fillTouched(p *pumps) {
	for i := range replication.MaxReported {
		var r session.Record
		binary.BigEndian.PutUint32(r[:], uint32(i))
		p.resync.reported.Add(&r)
	}
}

// TestTouched: a session is reported during a resync, which brings an older record of it, or a session whose mapping
// excludes its own. The reported session stays.
func TestTouched(t *testing.T) {
	const n = 100
	old := 20 * time.Minute
	opened := kind(sessionAt(0, 0), session.TCP, session.V6Init, session.TimerTransitory, 0)
	open := kind(opened, session.TCP, session.Established, session.TimerEstablished, 0)
	stale := kind(opened, session.TCP, session.Established, session.TimerEstablished, old)
	other := sessionAt(0, 0) // of the same host and mask
	other[23]++
	all := sessionsAt(0, n)
	with := func(r session.Record) []session.Record { return append([]session.Record{r}, all[1:]...) }
	for _, c := range []struct {
		name string
		// own is in the module before, brought comes in the resync, and live meanwhile.
		own    []session.Record
		brings []session.Record
		live   session.Record
		report bool // it is the own module that reports live
		full   bool // and so many other sessions meanwhile
		want   session.Record
		absent int // sessions that are not stored
	}{
		{"a peer's", nil, with(opened), open, false, false, open, 0},
		{"a peer's, beside too many others", nil, with(opened), open, false, true, open, 0},
		{"the own module's", nil, with(opened), open, true, false, open, 0},
		{"the own module's, beside too many others", nil, with(opened), open, true, true, open, 0},
		{"the mapping was reported", []session.Record{stale}, with(taken(0, 0)), other, true, false, other, 1},
		{"the mapping was reported, beside too many others", []session.Record{stale}, with(taken(0, 0)), other, true, true, other, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a, b := hosts(t)
			s := newScripted(t, a)
			h := newStandby(t, jool4115, b, c.own...)
			h.start()
			to := s.asked(n)
			s.begin(to, 5, n)
			eventually(t, "the own table is read", func() (read bool) {
				h.onThread(func(p *pumps) { read = p.resync.in != nil && p.resync.in.table != nil })
				return read
			})
			h.onThread(func(p *pumps) {
				p.resync.full = true // the updates of peers go to the module at once
				if c.full {
					fillTouched(p)
				}
			})
			if c.report {
				h.report(c.live)
				eventually(t, "the report is read", func() bool { return h.counters.Ledger().Reported == 1 })
			} else {
				s.live(c.live)
				eventually(t, "it is stored", func() bool { return h.instance.Sessions.Len() == 1 })
			}
			for i := range bulksOf(n) {
				s.bulk(5, i, c.brings)
			}
			s.end(5, n)
			h.synced()
			if r, there := h.instance.Sessions.Get(c.want.Key()); !there || !r.Same(&c.want) {
				t.Errorf("%x, want %x", r, c.want)
			}
			missing := 0
			for _, r := range c.brings {
				if _, there := h.instance.Sessions.Get(r.Key()); !there {
					missing++
				}
			}
			if missing != c.absent {
				t.Errorf("%d of %d sessions are missing, want %d", missing, n, c.absent)
			}
			h.onThread(func(p *pumps) {
				if p.resync.reported.Overflowed() || p.resync.reported.Recording() {
					t.Error("the next resync would inject too little")
				}
			})
		})
	}
}

// TestReportedWhileCompared has the module report sessions after the tables were compared and before BIB entries are
// removed.
func TestReportedWhileCompared(t *testing.T) {
	old := 20 * time.Minute
	another := sessionAt(0, 0) // of the host whose mapping is to go
	another[23]++
	for _, c := range []struct {
		name              string
		reported          []session.Record
		overflowed        bool
		removed, injected int
	}{
		{"nothing", nil, false, 2, 2},
		{"a session of one of the mappings", []session.Record{another}, false, 1, 1},
		{"a session of another mapping", []session.Record{sessionAt(800, 0)}, false, 2, 2},
		{"too many sessions", nil, true, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := hosts(t)
			s := newScripted(t, a)
			h := newStandby(t, jool4115, b, sessionAt(0, old), sessionAt(4, old))
			h.start()
			to := s.asked(0)
			s.begin(to, 5, 0)
			s.end(5, 0)
			h.synced()
			h.onThread(func(p *pumps) {
				p.borrow(func() {
					now, r := time.Now(), &p.resync
					own := []session.Record{sessionAt(0, old), sessionAt(4, old)}
					d := replication.Difference{Inject: []session.Record{taken(0, 0), taken(4, 0)}, Fresh: 2}
					d.ResolveConflicts(own, ttl, nil, replication.MaxRemovals)
					r.Cause = replication.CauseLacks
					r.reported.Restart()
					r.reported.BeginComparison(false)
					r.in = &incoming{id: 6, from: p.peers.WithID(s.id), base: now, settings: ttl}
					r.in.End(0, 0)
					r.in.table = replication.NewComparison(slices.Clone(own), ttl, ttl, 2000)
					r.enter(comparing, now, time.Time{})
					for i := range c.reported {
						r.reported.Add(&c.reported[i])
					}
					if c.overflowed {
						fillTouched(p)
						r.reported.Add(&another)
					}
					r.compared(d)
				})
			})
			eventually(t, "it has ended", func() bool { return h.Sync().Last.Why == replication.CauseLacks })
			last := h.Sync().Last
			if _, _, removed := h.instance.Sessions.Counts(); removed != c.removed || last.Injected != c.injected || last.Collisions != 2-c.injected {
				t.Errorf("%d mappings are removed, want %d: %+v", removed, c.removed, last)
			}
		})
	}
}
