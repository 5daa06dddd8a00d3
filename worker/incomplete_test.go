package worker

import (
	"testing"
	"time"

	"joolctl/joolnl"
	"joolctl/replication"
	"joolctl/syncwire"
	"joolctl/worker/workertest"
)

// TestIncompleteSince applies a change to a state each second, and checks since when the table is incomplete.
func TestIncompleteSince(t *testing.T) {
	type step struct {
		change func(*SyncState)
		want   int // the second since which the table is incomplete; 0: it is complete
	}
	nothing := func(*SyncState) {}
	yes := func(s *SyncState) { s.Synced, s.Phase = syncwire.SyncYes, "" }
	alone := func(s *SyncState) { s.Synced, s.Phase = syncwire.SyncAlone, "" }
	resync := func(why string) func(*SyncState) {
		return func(s *SyncState) { s.Phase, s.Why = "receiving", why }
	}
	link := func(trouble string) func(*SyncState) {
		return func(s *SyncState) { s.Trouble = trouble; s.restartCount() }
	}
	lacks := func(s *SyncState) { s.Synced = syncwire.SyncNo }
	blocked := func(n int) func(*SyncState) { return func(s *SyncState) { s.Blocked = n } }
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"a worker starts", []step{{nothing, 1}, {resync("start"), 1}, {yes, 0}}},
		{"alone since the start", []step{{nothing, 1}, {alone, 1}, {alone, 1}}},
		{"the peer dies", []step{{yes, 0}, {alone, 2}, {resync(replication.CauseLacks), 2}, {yes, 0}, {alone, 5}}},
		{"a full sync that brings missing sessions", []step{{yes, 0}, {resync("a peer holds more sessions"), 2}, {yes, 0}}},
		{"full syncs of a complete host", []step{{yes, 0}, {resync(replication.CauseVerification), 0}, {resync(replication.CauseReturned), 0}, {yes, 0}}},
		{"datagrams are lost", []step{{yes, 0}, {lacks, 2}, {lacks, 2}, {yes, 0}}},
		{"mappings are in the way", []step{{yes, 0}, {blocked(1), 2}, {blocked(2), 2}, {blocked(0), 0}}},
		{"the link flaps", []step{{alone, 1}, {nothing, 1}, {link("down"), 3}, {nothing, 3}, {link(""), 5}, {nothing, 5}}},
		{"the link of a complete host flaps", []step{{yes, 0}, {link("down"), 2}, {alone, 2}, {link(""), 4}}},
		{"the instance is recreated", []step{{alone, 1}, {nothing, 1}, {(*SyncState).restartCount, 3}, {alone, 3}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := New(specFor("", group6), Env{}, new(Counters))
			start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
			for i, s := range c.steps {
				w.change(start.Add(time.Duration(i+1)*time.Second), s.change)
				got := 0
				if since := w.Sync().IncompleteSince; !since.IsZero() {
					got = int(since.Sub(start).Seconds())
				}
				if got != s.want {
					t.Fatalf("second %d: incomplete since second %d, want %d", i+1, got, s.want)
				}
			}
		})
	}
}

// TestCompletePeer receives HELLOs of a peer. CompletePeer is the time of the last HELLO that says that the peer is complete or
// alone.
func TestCompletePeer(t *testing.T) {
	s, h := virtualPeer(t)
	h.alone()
	for _, c := range []struct {
		sync   syncwire.Sync
		counts bool
	}{{syncwire.SyncNo, false}, {syncwire.SyncYes, true}, {syncwire.SyncAlone, true}, {syncwire.SyncNo, false}} {
		h.v.pass(time.Second)
		before := h.v.Clock.Now()
		s.say(&syncwire.Hello{Sync: c.sync, Settings: ttl})
		h.v.pass(100 * time.Millisecond)
		if peers := h.worker().host.Peers.All(); len(peers) != 1 || peers[0].LastHeard.Before(before) {
			t.Errorf("the peers are %+v", peers)
		}
		if counts := h.Sync().CompletePeer.After(before); counts != c.counts {
			t.Errorf("a peer that says %v counts: %v, want %v", c.sync, counts, c.counts)
		}
	}
}

// TestRecreatedInstance decreases one of the instance's counters: the worker detects that the instance was recreated. On a standby,
// which translates no packets, only the counters of joold show this.
func TestRecreatedInstance(t *testing.T) {
	for _, c := range []struct {
		name string
		stat joolnl.Stat
	}{
		{"packets translated", joolnl.StatReceived6},
		{"sessions received", joolnl.StatSessionsRcvd},
		{"sessions reported", joolnl.StatSessionsSent},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newTestbed(t, 2).standby(0)
			h.instance.Set(func(i *workertest.Instance) { i.Stats = workertest.Counting() })
			h.start().alone()
			since := h.Sync().IncompleteSince
			now := time.Now()
			if err := h.running.thread.Do(func() {
				h.running.borrow(func() {
					stats, err := h.running.module.AskStats()
					if err != nil {
						t.Error(err)
					}
					stats.Set(c.stat, 100)
					h.running.kernelSays(stats, now)
					if got := h.Sync().IncompleteSince; !got.Equal(since) {
						t.Errorf("an increased counter restarts IncompleteSince")
					}
					stats.Set(c.stat, 1)
					h.running.kernelSays(stats, now)
					if got := h.Sync().Synced; got != syncwire.SyncNo {
						t.Errorf("synced is %v", got)
					}
				})
			}); err != nil {
				t.Fatal(err)
			}
			if s := h.Sync(); s.IncompleteSince.Before(now) {
				t.Errorf("incomplete since %v, want %v: %+v", s.IncompleteSince, now, s)
			}
			h.alone()
		})
	}
}
