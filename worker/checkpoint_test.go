package worker

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/joolnl"
	"joolctl/replication"
	"joolctl/syncwire"
	"joolctl/worker/workertest"
)

// TestInherit stops a standby's worker and starts the next one later. If the module's counters show that the table is unchanged,
// and retransmissions bring the datagrams that it missed, the next worker needs no full sync and does not read its table.
func TestInherit(t *testing.T) {
	const n = 300
	lone := func(h *host, at int) []byte { // the module's report of one session
		r := sessionAt(at, 0)
		h.instance.Sessions.Put(r)
		list, err := h.kernel.Format().AppendRecord(nil, &r, workertest.Pool6)
		if err != nil {
			h.t.Fatal(err)
		}
		return list
	}
	for _, c := range []struct {
		name string
		// before is called while all workers run, away while the standby's worker is stopped.
		before, away func(t *testing.T, active, standby *host, bed *testbed)
		want         bool // the next worker needs no full sync
		either       bool // the result depends on timing
	}{
		{name: "no traffic", want: true},
		{name: "sessions are reported", away: func(_ *testing.T, active, _ *host, _ *testbed) {
			for i := range 50 {
				active.report(sessionAt(5000+i, 0))
			}
		}, want: true},
		{name: "the next worker is in another process", away: func(_ *testing.T, _, standby *host, _ *testbed) {
			saved := standby.counters.Save()
			standby.counters.checkpoints.write("another", replication.Checkpoint{})
			standby.counters.Restore(saved)
		}, want: true},
		{name: "more datagrams are sent than are kept for retransmission", away: func(t *testing.T, active, _ *host, _ *testbed) {
			for i := range replication.RetransmitDatagrams + 100 {
				active.report(sessionAt(5000+i, 0))
			}
			eventually(t, "all sessions are sent", func() bool { return active.counters.Ledger().Sent == replication.RetransmitDatagrams+100 })
		}},
		{name: "the active host starts a new incarnation", away: func(_ *testing.T, active, _ *host, _ *testbed) {
			active.stop()
			active.counters.Distrust()
			active.instance.Sessions.Put(sessionAt(5000, 0))
			active.restart()
		}},
		{name: "another host has a session that both lack", away: func(t *testing.T, active, _ *host, bed *testbed) {
			bed.standby(2, sessionAt(5000, 0)).start().synced()
			eventually(t, "the active host has it", func() bool { return active.instance.Sessions.Len() == n+1 })
			active.complete()
		}},
		{name: "an upstream joold has been heard", before: func(t *testing.T, _, standby *host, bed *testbed) {
			bed.peer(2).send(entries(t, jool4115, 1, 1))
			eventually(t, "the upstream joold is a peer", func() bool { return len(standby.Peers()) == 2 })
		}},
		{name: "the module reports a session just before", before: func(_ *testing.T, active, standby *host, _ *testbed) {
			standby.report(sessionAt(5000, 0))
			eventually(t, "it has crossed", func() bool { return active.instance.Sessions.Len() == n+1 })
		}, want: true},
		{name: "the module drops sessions just before", before: func(_ *testing.T, _, standby *host, _ *testbed) {
			standby.instance.Sessions.Put(sessionAt(5000, 0))
			standby.instance.Set(func(i *workertest.Instance) { i.Stats[78]++ })
		}, either: true}, // the worker may end before it has polled the counter; then its checkpoint has only the time
		{name: "the module reports a session meanwhile", away: func(_ *testing.T, _, standby *host, _ *testbed) {
			standby.instance.Multicast(lone(standby, 5000))
		}},
		{name: "another program writes to the module", away: func(_ *testing.T, _, standby *host, _ *testbed) {
			standby.instance.Set(func(i *workertest.Instance) { i.Stats[80]++ })
		}},
		{name: "the instance is recreated", away: func(_ *testing.T, _, standby *host, _ *testbed) {
			standby.instance.Set(func(i *workertest.Instance) { i.Stats, i.Sessions = workertest.Counting(), workertest.NewTable() })
		}},
		{name: "the active host's module drops a session", away: func(t *testing.T, active, _ *host, _ *testbed) {
			active.instance.Sessions.Put(sessionAt(5000, 0))
			active.instance.Set(func(i *workertest.Instance) { i.Stats[78]++ })
			eventually(t, "the drop is counted", func() bool { return active.counters.Losses().KernelDropped == 1 })
		}},
		{name: "a worker runs without sequence numbers", away: func(_ *testing.T, _, standby *host, _ *testbed) {
			spec := standby.spec()
			without := spec
			without.Sequence = false
			standby.init(without)
			standby.start()
			standby.stop()
			standby.init(spec)
		}},
		{name: "an operator restarts the worker", away: func(_ *testing.T, _, standby *host, _ *testbed) { standby.counters.Distrust() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bed := newTestbed(t, 3)
			active, standby := bed.standby(0, sessionsAt(0, n)...), bed.standby(1)
			for _, h := range []*host{active, standby} {
				h.instance.Stats = workertest.Counting()
				h.instance.Stats[78] = 0 // JSTAT_JOOLD_SSS_ENOSPC
			}
			active.start().alone()
			standby.start()
			standby.synced()
			eventually(t, "both are complete", func() bool { return active.Sync().Synced == syncwire.SyncYes })
			if c.before != nil {
				c.before(t, active, standby, bed)
			}
			standby.stop()
			reads := standby.instance.Count(joolnl.SessionForeach)
			if c.away != nil {
				c.away(t, active, standby, bed)
			}
			standby.restart()
			got := standby.synced()
			if inherited := got.Why == replication.CauseInherited; inherited != c.want && !c.either {
				t.Errorf("%+v", got)
			}
			if again := standby.instance.Count(joolnl.SessionForeach) - reads; c.want && again > 0 {
				t.Errorf("the next worker read its table, with %d requests", again)
			}
			become(t, active, standby)
		})
	}
}

// TestCheckpoints writes checkpoints and reads them, also in another process.
func TestCheckpoints(t *testing.T) {
	e := replication.Checkpoint{Counters: replication.ModuleCounters{Complete: true, Packets: 1, Stored: 1 << 40, Reported: 3, Dropped: 4, Translated: 5}, Self: 1<<32 - 1,
		Position: syncwire.Position{Generation: 1<<32 - 1, Seq: 9}, Written: time.UnixMilli(1_000_000_001),
		Vector: []syncwire.Component{
			{Origin: 7, Known: true, Complete: syncwire.Position{Generation: 1, Seq: 1<<32 - 1}, Highest: syncwire.Position{Generation: 2, Seq: 5}},
			{Origin: 1<<32 - 2, Highest: syncwire.Position{Seq: 1}, Age: 1<<30 - 1},
		},
		Unclaimed: map[syncwire.ID]time.Time{9: time.UnixMilli(7), 1<<32 - 1: time.UnixMilli(1_000_000_000_001)}}
	var c, next Counters
	c.checkpoints.write("instance", e)
	next.Restore(c.Save())
	if diff := cmp.Diff(&e, next.checkpoints.read("instance")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for name, read := range map[string]func() *replication.Checkpoint{
		"twice":               func() *replication.Checkpoint { return next.checkpoints.read("instance") },
		"of another instance": func() *replication.Checkpoint { next.Restore(c.Save()); return next.checkpoints.read("instances") },
		"distrusted": func() *replication.Checkpoint {
			next.Restore(c.Save())
			next.Distrust()
			return next.checkpoints.read("instance")
		},
		"by a counter less": func() *replication.Checkpoint {
			saved := c.Save()
			delete(saved, "left instance dropped")
			next.Restore(saved)
			return next.checkpoints.read("instance")
		},
		"with an origin of no number": func() *replication.Checkpoint {
			saved := c.Save()
			saved["left instance age x"] = 1
			next.Restore(saved)
			return next.checkpoints.read("instance")
		},
		"with half of a component": func() *replication.Checkpoint {
			saved := c.Save()
			delete(saved, "left instance highest 00000007")
			next.Restore(saved)
			return next.checkpoints.read("instance")
		},
	} {
		if got := read(); got != nil {
			t.Errorf("%s: %+v", name, *got)
		}
	}
}
