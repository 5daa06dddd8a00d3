package supervisor

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/eventlog"
	"joolctl/replication"
	"joolctl/syncwire"
	"joolctl/worker"
)

// withEvents runs a test with a supervisor of the pairs a and b that stores events.
func withEvents(t *testing.T, test func(*rig)) {
	t.Helper()
	inBubbleWith(t, func(o *Options) { o.EventLog = eventlog.New(time.Now()) }, two(t), test)
}

// happened returns the events since the last call, as "pair kind from>to text".
func (r *rig) happened(names ...string) (lines []string) {
	r.t.Helper()
	events, err := r.Events(context.Background(), names, EventsOptions{After: r.seen})
	if err != nil {
		r.t.Fatalf("Events: %v", err)
	}
	r.seen = events.Last
	for _, e := range events.Events {
		line := fmt.Sprintf("%s %s %s %s", e.Pair, e.Kind, e.Severity, e.Text)
		if e.From != "" {
			line = fmt.Sprintf("%s (was %s)", line, e.From)
		}
		lines = append(lines, line)
	}
	return lines
}

func (r *rig) wantEvents(want ...string) {
	r.t.Helper()
	synctest.Wait()
	got := r.happened()
	slices.Sort(got) // the order of pairs is not defined
	if diff := cmp.Diff(want, got); diff != "" {
		r.t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestStateEvents follows the states of a pair from the creation to the removal of its files.
func TestStateEvents(t *testing.T) {
	withEvents(t, func(r *rig) {
		r.happened()
		r.fleet.behave("c", func(ctx context.Context, ready func()) error {
			return &worker.Missing{What: "no instance"}
		})
		write(t, r.dir, "c", files{instance: "c", group: "3"})
		r.reload()
		r.wantEvents("c files info the files are good; a worker starts", "c state warning waiting: no instance (was waiting)")
		r.fleet.behave("c", func(ctx context.Context, ready func()) error {
			ready()
			<-ctx.Done()
			return nil
		})
		time.Sleep(10 * time.Second) // the worker is tried again
		r.wantEvents("c state info running (was waiting)")
		write(t, r.dir, "c", files{instance: "c", group: "3", broken: true})
		r.reload()
		events := r.happened("c")
		if len(events) != 1 {
			t.Errorf("broken files: %q", events)
		}
		write(t, r.dir, "c", files{instance: "c", group: "3", ttl: 2})
		r.reload()
		r.wantEvents("c files info the files are good again", "c files info the files have changed")
		rename(t, r.dir, "c", "d")
		r.reload()
		r.wantEvents("d files info the pair was named c before")
		remove(t, r.dir, "d")
		r.reload()
		r.wantEvents("d files info the files are gone; the worker stops")
		if events, err := r.Events(context.Background(), []string{"d"}, EventsOptions{}); err != nil || len(events.Events) != 2 {
			t.Errorf("the events of a pair that is gone: %v, %v", events, err)
		}
	})
}

// TestLossEvents checks that an event says by how much counters rose, and that a pair that keeps losing sessions causes
// few events.
func TestLossEvents(t *testing.T) {
	withEvents(t, func(r *rig) {
		r.happened()
		c := r.pairs["a"].counters
		c.Restore(map[string]uint64{"kernel_dropped": 3, "repaired": 9})
		time.Sleep(2 * sampleEvery)
		r.wantEvents("a losses warning kernel dropped sessions +3")
		time.Sleep(time.Minute)
		r.wantEvents()
		for range 3600 {
			time.Sleep(time.Second)
			c.Restore(map[string]uint64{"kernel_dropped": c.Losses().KernelDropped + 1})
		}
		if n := len(r.happened()); n < 10 || n > 20 {
			t.Errorf("%d events in an hour of losses", n)
		}
		if n := increases(worker.Losses{}, c.Losses())["kernel_dropped_sessions"]; n != 3603 {
			t.Errorf("the counter is %d", n)
		}
	})
}

// TestPeerEvents checks that an event reports that a peer has become live or is no longer live. Peers of the previous
// worker do not count as lost by a new worker.
func TestPeerEvents(t *testing.T) {
	withEvents(t, func(r *rig) {
		var heard atomic.Pointer[replication.PeerInfo]
		hear := func() {
			heard.Store(&replication.PeerInfo{Address: netip.MustParseAddr("192.0.2.2"), ID: 7, LastHeard: time.Now(), LiveUntil: time.Now().Add(12 * time.Second)})
		}
		r.fleet.peers = func() []replication.PeerInfo { return []replication.PeerInfo{*heard.Load()} }
		hear()
		r.happened()
		time.Sleep(sampleEvery)
		r.wantEvents("a peers info peer 192.0.2.2 is live", "b peers info peer 192.0.2.2 is live")
		hear()
		if _, err := r.Restart(context.Background(), []string{"a"}, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(sampleEvery)
		r.wantEvents("a peers info peer 192.0.2.2 is live", "a state info running (was waiting)",
			`a state info waiting: starts when the worker before it, of pair "a", has stopped (was running)`)
		time.Sleep(12 * time.Second)
		r.wantEvents("a peers warning peer 192.0.2.2 is not live any more",
			"b peers warning peer 192.0.2.2 is not live any more")
	})
}

// TestPeerEventsOfOneAddress checks that, of several peers at one address, one live peer is enough. A peer that has
// disappeared from the list is no longer live.
func TestPeerEventsOfOneAddress(t *testing.T) {
	withEvents(t, func(r *rig) {
		var heard atomic.Pointer[[]replication.PeerInfo]
		hear := func(live ...bool) {
			var peers []replication.PeerInfo
			for i, is := range live {
				peer := replication.PeerInfo{Address: netip.MustParseAddr("192.0.2.2"), ID: syncwire.ID(7 + i)}
				if is {
					peer.LiveUntil = time.Now().Add(time.Hour)
				}
				peers = append(peers, peer)
			}
			heard.Store(&peers)
		}
		r.fleet.peers = func() []replication.PeerInfo { return *heard.Load() }
		r.happened()
		hear(true, false)
		time.Sleep(10 * sampleEvery)
		r.wantEvents("a peers info peer 192.0.2.2 is live", "b peers info peer 192.0.2.2 is live")
		hear(false, true)
		time.Sleep(10 * sampleEvery)
		r.wantEvents()
		hear()
		time.Sleep(10 * sampleEvery)
		r.wantEvents("a peers warning peer 192.0.2.2 is not live any more", "b peers warning peer 192.0.2.2 is not live any more")
		hear(true)
		time.Sleep(sampleEvery)
		r.wantEvents("a peers info peer 192.0.2.2 is live", "b peers info peer 192.0.2.2 is live")
	})
}

// TestEventsWait checks that a request waits for an event, but only for a limited time, and not if too many requests
// wait.
func TestEventsWait(t *testing.T) {
	withEvents(t, func(r *rig) {
		r.happened()
		ask := func(wait time.Duration) (int, time.Duration) {
			began := time.Now()
			events, err := r.Events(context.Background(), nil, EventsOptions{After: r.seen, Wait: wait})
			if err != nil {
				t.Error(err)
			}
			return len(events.Events), time.Since(began)
		}
		time.AfterFunc(2*time.Second, func() { r.opt.EventLog.Add(eventlog.Event{Pair: "a"}) })
		if n, took := ask(time.Hour); n != 1 || took != 2*time.Second {
			t.Errorf("%d events after %v", n, took)
		}
		r.happened()
		if n, took := ask(time.Hour); n != 0 || took != maxEventsWait {
			t.Errorf("%d events after %v", n, took)
		}
		for range maxFollowers {
			go ask(time.Hour)
		}
		synctest.Wait()
		if n, took := ask(time.Hour); n != 0 || took != 0 {
			t.Errorf("with many that wait: %d events after %v", n, took)
		}
		time.Sleep(maxEventsWait)
	})
}

func TestEventsOfUnknownPair(t *testing.T) {
	withEvents(t, func(r *rig) {
		_, err := r.Events(context.Background(), []string{"nobody"}, EventsOptions{})
		if unknown, is := err.(*UnknownName); !is || unknown.Name != "nobody" {
			t.Errorf("error %v", err)
		}
	})
}
