package supervisor

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/replication"
	"joolctl/syncwire"
	"joolctl/worker"
)

func TestReasons(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ours := replication.PeerInfo{Address: netip.MustParseAddr("fd64::2"), ID: 7, LastHeard: now, Software: "joolctl"}
	upstream := replication.PeerInfo{Address: netip.MustParseAddr("fd64::3"), LastHeard: now}
	differs := ours
	differs.Differs = []string{"pool6", "udp-timeout", "ss-capacity", "pool4-max-iterations"}
	trifle := ours
	trifle.Differs = []string{"ss-capacity", "ss-max-sessions-per-packet", "ss-flush-deadline", "ss-flush-asap", "ss-max-payload", "pool4-max-iterations"}
	gone := differs
	gone.LastHeard = now.Add(-time.Minute)
	yes := worker.SyncState{Synced: syncwire.SyncYes, Last: &replication.SyncReport{}}
	alone := worker.SyncState{Synced: syncwire.SyncAlone}
	with := func(s worker.SyncState, change func(*worker.SyncState)) worker.SyncState {
		change(&s)
		return s
	}
	allow := ReadyOptions{AllowAlone: true}
	patience := ReadyOptions{Patience: 5 * time.Minute}
	open := ReadyOptions{OpenAfter: 5 * time.Minute}
	since := func(s worker.SyncState, incomplete, peer time.Duration) worker.SyncState {
		return with(s, func(s *worker.SyncState) { s.IncompleteSince, s.CompletePeer = now.Add(-incomplete), now.Add(-peer) })
	}
	receiving := worker.SyncState{Phase: "receiving", Why: "the instance was recreated", Done: 10, Total: 500000}
	missing := func(n uint32) []replication.Reason {
		return []replication.Reason{replication.Gap{Datagrams: n}.Reason(netip.MustParseAddr("fd64::1"))}
	}
	large := ours
	large.Sessions = replication.MaxSessions + 1
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	longDiffers, longLarge := differs, large
	longDiffers.DiffersSince, longLarge.TooLargeSince = ago(time.Hour), ago(time.Hour)
	broken := with(yes, func(s *worker.SyncState) {
		s.Broken, s.BrokenSince, s.CompletePeer = []string{"KERNEL_SENT_PKTS: 3 behind"}, ago(time.Hour), ago(time.Second)
	})
	drops := with(yes, func(s *worker.SyncState) {
		s.KernelDropped, s.DropsSince, s.CompletePeer = now, ago(time.Hour), ago(time.Second)
	})
	const dropsFor = "the kernel module drops sessions (JSTAT_JOOLD_SSS_ENOSPC): 12, last 0 seconds ago, for 1h0m0s; type: jool"
	const atZero = "a full sync is under way: receiving at 0 % (10 of 500000 sessions)"
	for _, test := range []struct {
		name   string
		state  State // "": running
		reason string
		silent bool
		mute   bool // "sequence": false
		sync   worker.SyncState
		peers  []replication.PeerInfo
		o      ReadyOptions
		want   []string
	}{
		{name: "ready", sync: yes, peers: []replication.PeerInfo{ours}},
		{name: "peer has died", sync: yes, peers: []replication.PeerInfo{gone}},
		{name: "upstream beside ours", sync: yes, peers: []replication.PeerInfo{ours, upstream}},
		{name: "waiting", state: Waiting, reason: `instance "nat" does not exist`, o: allow,
			want: []string{`it is waiting, not running: instance "nat" does not exist`}},
		{name: "failed, patience is over", state: Failed, reason: "f.json:1:1: no", sync: since(alone, time.Hour, time.Hour), o: patience,
			want: []string{"it is failed, not running: f.json:1:1: no"}},
		{name: "stuck kernel, open", silent: true, sync: since(alone, time.Hour, time.Hour), o: open,
			want: []string{"the kernel module does not answer, for 1m0s; see `dmesg`"}},
		{name: "listening", sync: worker.SyncState{Phase: "listening for peers"}, o: allow,
			want: []string{"a full sync is under way: listening for peers"}},
		{name: "nobody", sync: alone, want: []string{"no peer has been heard since the start"}},
		{name: "nobody, allowed", sync: alone, o: allow},
		{name: "only upstream", sync: alone, peers: []replication.PeerInfo{upstream},
			want: []string{"only upstream's joolds have been heard, which can't tell what this host lacks"}},
		{name: "only upstream, allowed", sync: alone, peers: []replication.PeerInfo{upstream}, o: allow},
		{name: "ours say nothing", sync: alone, peers: []replication.PeerInfo{ours},
			want: []string{"alone: no peer answers any more"}},
		{name: "alone later", sync: with(yes, func(s *worker.SyncState) { s.Synced = syncwire.SyncAlone }), peers: []replication.PeerInfo{gone},
			want: []string{"alone: no peer answers any more"}},
		{name: "no sequence", mute: true, peers: []replication.PeerInfo{upstream},
			want: []string{`"sequence" is false, so no peer can tell what this host lacks`}},
		{name: "no sequence, allowed", mute: true, peers: []replication.PeerInfo{upstream}, o: allow},
		{name: "full sync", sync: worker.SyncState{Phase: "receiving", Done: 630, Total: 1000}, peers: []replication.PeerInfo{ours},
			want: []string{"a full sync is under way: receiving at 63 % (630 of 1000 sessions)"}},
		{name: "full sync with a forecast", sync: worker.SyncState{Phase: "receiving", Done: 630, Total: 1000, Ends: now.Add(90 * time.Second)}, peers: []replication.PeerInfo{ours},
			want: []string{"a full sync is under way: receiving at 63 % (630 of 1000 sessions, done at about 12:01:30)"}},
		{name: "full sync again", sync: with(yes, func(s *worker.SyncState) { s.Phase, s.Why = "comparing", "a peer holds more sessions" }),
			want: []string{"a full sync is under way: comparing"}},
		{name: "a peer advertises", sync: with(yes, func(s *worker.SyncState) { s.Phase, s.Why = "receiving", "advertised" })},
		{name: "between two tries", sync: worker.SyncState{}, peers: []replication.PeerInfo{ours},
			want: []string{"the worker has not listened long enough to know all peers"}},
		{name: "lost", sync: worker.SyncState{Lacking: missing(12)}, peers: []replication.PeerInfo{ours},
			want: []string{"peer fd64::1: 12 live datagrams are missing"}},
		{name: "blocked", sync: with(yes, func(s *worker.SyncState) { s.Blocked = 3 }), peers: []replication.PeerInfo{ours},
			want: []string{"3 sessions of peer fd64::2 are not stored because older mappings are in their way; full syncs remove 4096 mappings a minute"}},
		{name: "settings", sync: yes, peers: []replication.PeerInfo{differs},
			want: []string{"settings differ from peer fd64::2: pool6, udp-timeout; compare `jool global display` and `jool pool4 display` of both hosts"}},
		{name: "counters", sync: with(yes, func(s *worker.SyncState) { s.Broken = []string{"KERNEL_SENT_PKTS: 3 behind"} }),
			want: []string{"the counters disagree: KERNEL_SENT_PKTS: 3 behind; find the cause; `joolctl restart nat` counts again from 0"}},
		{name: "a table that is too large", sync: yes, peers: []replication.PeerInfo{large},
			want: []string{"peer fd64::2 has 67108865 sessions, a full sync takes 67108864 at most; shorten the timeouts of both instances, or divide their traffic among more instances"}},
		{name: "settings of no weight", sync: yes, peers: []replication.PeerInfo{trifle}},
		{name: "kernel drops", sync: with(yes, func(s *worker.SyncState) { s.KernelDropped = now.Add(-59 * time.Second) }),
			want: []string{"the kernel module drops sessions (JSTAT_JOOLD_SSS_ENOSPC): 12, last 59 seconds ago; type: jool"}},
		{name: "kernel dropped", sync: with(yes, func(s *worker.SyncState) { s.KernelDropped = now.Add(-61 * time.Second) })},
		{name: "everything", peers: []replication.PeerInfo{differs},
			sync: worker.SyncState{Phase: "asking a peer", Lacking: missing(3), Blocked: 1, KernelDropped: now},
			want: []string{"a full sync is under way: asking a peer", "peer fd64::1: 3 live datagrams are missing",
				"1 sessions of peer fd64::2 are not stored because older mappings are in their way; full syncs remove 4096 mappings a minute",
				"settings differ from peer fd64::2: pool6, udp-timeout; compare `jool global display` and `jool pool4 display` of both hosts",
				"the kernel module drops sessions (JSTAT_JOOLD_SSS_ENOSPC): 12, last 0 seconds ago; type: jool"}},
		{name: "patient", sync: since(alone, 5*time.Minute-1, time.Hour), o: patience,
			want: []string{"no peer has been heard since the start, for 4m59s"}},
		{name: "patience is over", sync: since(alone, 5*time.Minute, time.Hour), o: patience},
		{name: "patient with a complete peer", sync: since(receiving, time.Hour, 5*time.Minute-1), o: patience,
			want: []string{atZero + ", for 1h0m0s"}},
		{name: "a complete peer was heard long ago", sync: since(receiving, time.Hour, 5*time.Minute), o: patience},
		{name: "a complete peer says HELLO every 10 s", sync: since(receiving, time.Hour, 10*time.Second), o: ReadyOptions{Patience: time.Second},
			want: []string{atZero + ", for 1h0m0s"}},
		{name: "no complete peer has been heard", o: patience,
			sync: with(receiving, func(s *worker.SyncState) { s.IncompleteSince = now.Add(-5 * time.Minute) })},
		{name: "the table has just become incomplete", sync: since(receiving, time.Second, time.Hour), o: patience,
			want: []string{atZero + ", for 1s"}},
		{name: "drops, and a complete peer", sync: drops, o: patience, want: []string{dropsFor}},
		{name: "drops, and no complete peer", sync: with(drops, func(s *worker.SyncState) { s.CompletePeer = ago(time.Hour) }), o: patience},
		{name: "drops, open", sync: drops, o: open},
		{name: "counters, and a complete peer", sync: broken, o: patience,
			want: []string{"the counters disagree: KERNEL_SENT_PKTS: 3 behind, for 1h0m0s; find the cause; `joolctl restart nat` counts again from 0"}},
		{name: "counters, open", sync: broken, o: open},
		{name: "settings, open", sync: yes, peers: []replication.PeerInfo{longDiffers}, o: open},
		{name: "a table that is too large, open", sync: yes, peers: []replication.PeerInfo{longLarge}, o: open},
		{name: "alone is allowed, settings not for long", sync: since(alone, time.Hour, time.Hour), peers: []replication.PeerInfo{differs},
			o:    ReadyOptions{AllowAlone: true, OpenAfter: time.Minute},
			want: []string{"settings differ from peer fd64::2: pool6, udp-timeout; compare `jool global display` and `jool pool4 display` of both hosts"}},
		{name: "not yet open", sync: since(receiving, 5*time.Minute-1, time.Second), o: open, want: []string{atZero + ", for 4m59s"}},
		{name: "open in spite of a complete peer", sync: since(receiving, 5*time.Minute, time.Second), o: open},
		{name: "open before patience is over", sync: since(receiving, 5*time.Minute, time.Second),
			o: ReadyOptions{Patience: time.Minute, OpenAfter: 5 * time.Minute}},
	} {
		t.Run(test.name, func(t *testing.T) {
			st := readiness{name: "nat", state: Running, reason: test.reason, sequence: !test.mute, sync: test.sync, peers: test.peers}
			if test.state != "" {
				st.state = test.state
			}
			st.sync.Answered, st.sync.DropRemedy, st.sync.Drops, st.sync.BlockedBy = now.Add(-3*time.Second), "jool", 12, ours.Address
			if test.silent {
				st.sync.Answered = now.Add(-time.Minute)
			}
			if diff := cmp.Diff(test.want, lines(st.reasons(now, test.o), now)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// lines returns reasons in the form that an operator reads.
func lines(reasons []replication.Reason, now time.Time) (lines []string) {
	for _, r := range reasons {
		lines = append(lines, r.Line(now))
	}
	return lines
}

// TestReadyDoesNotAskTheKernel checks that ready does not wait for a stuck kernel.
func TestReadyDoesNotAskTheKernel(t *testing.T) {
	var start time.Time
	inBubble(t, func(dir string, f *fleet) {
		write(t, dir, "a", files{instance: "i1"})
		write(t, dir, "b", files{group: "2", instance: "i2"})
		f.kernel = func(context.Context) (map[string]uint64, error) { select {} }
		start = time.Now()
		f.sync = func() worker.SyncState {
			return worker.SyncState{Synced: syncwire.SyncYes, Answered: start}
		}
	}, func(r *rig) {
		begin := time.Now()
		got, err := r.Ready(context.Background(), nil, true, ReadyOptions{})
		none := []replication.Reason{}
		want := Ready{Ready: true, Pairs: []PairReady{{Name: "a", Ready: true, Reasons: none, Warnings: none}, {Name: "b", Ready: true, Reasons: none, Warnings: none}}}
		if diff := cmp.Diff(want, got); diff != "" || err != nil || time.Since(begin) > 0 {
			t.Errorf("Ready: %v, after %v (-want +got):\n%s", err, time.Since(begin), diff)
		}
		time.Sleep(time.Minute)
		got, err = r.Ready(context.Background(), []string{"a"}, false, ReadyOptions{})
		why := []replication.Reason{{Code: replication.ModuleSilent, Since: start, Text: "the kernel module does not answer", Remedy: "see `dmesg`"}}
		if diff := cmp.Diff(Ready{Pairs: []PairReady{{Name: "a", Reasons: why, Warnings: none}}}, got); diff != "" || err != nil {
			t.Errorf("Ready of a stuck one: %v (-want +got):\n%s", err, diff)
		}
	})
}

// TestReadyOfNone checks that a supervisor without pairs is not ready, and that a busy supervisor answers in time.
func TestReadyOfNone(t *testing.T) {
	inBubble(t, func(string, *fleet) {}, func(r *rig) {
		got, err := r.Ready(context.Background(), nil, true, ReadyOptions{})
		if err != nil || got.Ready || got.Pairs == nil {
			t.Errorf("Ready: %+v, %v", got, err)
		}
		free := make(chan struct{})
		go r.post(func() { <-free })
		time.Sleep(time.Millisecond)
		begin := time.Now()
		if _, err := r.Ready(context.Background(), nil, true, ReadyOptions{}); err == nil || time.Since(begin) > readyPatience {
			t.Errorf("Ready: %v after %v", err, time.Since(begin))
		}
		close(free)
	})
}

func TestReadyAPI(t *testing.T) {
	ctx := context.Background()
	c, _ := started(t, socketIn(t))
	ready, err := c.Ready(ctx, []string{"a"}, false, ReadyOptions{AllowAlone: true, Patience: time.Nanosecond, OpenAfter: time.Hour})
	if err != nil || len(ready.Pairs) != 1 {
		t.Errorf("Ready: %+v, %v", ready, err)
	}
	if _, err := c.Ready(ctx, nil, false, ReadyOptions{}); err == nil || err.Error() != errNoNames.Error() {
		t.Errorf("of nothing: %v", err)
	}
	for _, name := range []string{"patience", "open-after"} {
		err = c.call(ctx, "GET", pathReady, map[string][]string{"all": {"true"}, name: {"soon"}}, &ready)
		if want := name + " wants a duration, as in 5m"; err == nil || err.Error() != want {
			t.Errorf("%s=soon: %v, want %s", name, err, want)
		}
	}
}
