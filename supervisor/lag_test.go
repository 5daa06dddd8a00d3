package supervisor

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/replication"
	"joolctl/syncwire"
	"joolctl/worker"
)

// TestLags gives peers a lag and compares the row, ready and its warnings.
func TestLags(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	peer := func(id syncwire.ID, lag replication.Lag, change ...func(*replication.PeerInfo)) replication.PeerInfo {
		p := replication.PeerInfo{Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(id)}), ID: id, LastHeard: now, LiveUntil: now.Add(time.Second), Software: "joolctl", Lag: lag}
		for _, fn := range change {
			fn(&p)
		}
		return p
	}
	dead := func(p *replication.PeerInfo) { p.LiveUntil = now.Add(-1) }
	known := func(sessions uint64, age time.Duration) replication.Lag {
		return replication.Lag{Known: true, Sessions: sessions, Age: age}
	}
	const second, third = "peer 192.0.2.2 lags: it had not stored 40 sessions at its last HELLO, the oldest of them sent 1.214s before; look at the load of that host, and at `joolctl status -o wide` there",
		"peer 192.0.2.3 lags: it had not stored 7 sessions at its last HELLO, the oldest of them sent 3s before; look at the load of that host, and at `joolctl status -o wide` there"
	for _, c := range []struct {
		name     string
		peers    []replication.PeerInfo
		untuned  bool
		o        ReadyOptions
		lag      *Lag
		warnings []string
		reasons  []string
	}{
		{name: "no peer"},
		{name: "no lag", peers: []replication.PeerInfo{peer(2, known(0, 0))}, lag: &Lag{}},
		{name: "a second", peers: []replication.PeerInfo{peer(2, known(1, time.Second))}, lag: &Lag{1, 1}},
		{name: "two lag", peers: []replication.PeerInfo{peer(2, known(40, 1214*time.Millisecond)), peer(3, known(7, 3*time.Second))},
			lag: &Lag{7, 3}, warnings: []string{second, third}},
		{name: "a dead peer holds no lag", peers: []replication.PeerInfo{peer(2, known(40, 1214*time.Millisecond), dead), peer(4, known(0, 0))}, lag: &Lag{}},
		{name: "a dead peer alone", peers: []replication.PeerInfo{peer(2, known(40, 1214*time.Millisecond), dead)}},
		{name: "not known", peers: []replication.PeerInfo{peer(2, known(40, 1214*time.Millisecond)), peer(3, replication.Lag{})}, warnings: []string{second}},
		{name: "an upstream joold does not say", peers: []replication.PeerInfo{peer(0, replication.Lag{}), peer(4, known(3, time.Millisecond))}, lag: &Lag{3, 0.001}},
		{name: "without tune ss", untuned: true, peers: []replication.PeerInfo{peer(3, known(7, 3*time.Second))}, lag: &Lag{7, 3}},
		{name: "at most 2 s", o: ReadyOptions{MaxLag: 2 * time.Second}, lag: &Lag{7, 3}, reasons: []string{third},
			peers: []replication.PeerInfo{peer(2, known(40, 1214*time.Millisecond)), peer(3, known(7, 3*time.Second))}},
		{name: "at most 1 s, without tune ss", untuned: true, o: ReadyOptions{MaxLag: time.Second}, lag: &Lag{40, 1.214}, reasons: []string{second},
			peers: []replication.PeerInfo{peer(2, known(40, 1214*time.Millisecond))}},
		{name: "at most 1 s, not known", o: ReadyOptions{MaxLag: time.Second}, peers: []replication.PeerInfo{peer(3, replication.Lag{})},
			reasons: []string{"peer 192.0.2.3 needs a full sync before its lag is known"}},
		{name: "at most 5 s", o: ReadyOptions{MaxLag: 5 * time.Second}, lag: &Lag{7, 3}, peers: []replication.PeerInfo{peer(3, known(7, 3*time.Second))}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.lag, largestLag(c.peers, now)); diff != "" {
				t.Errorf("lag (-want +got):\n%s", diff)
			}
			st := readiness{state: Running, sequence: true, tuned: !c.untuned, peers: c.peers,
				sync: worker.SyncState{Synced: syncwire.SyncYes, Answered: now}}
			if diff := cmp.Diff(c.warnings, lines(st.warnings(nil, now, c.o), now)); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.reasons, lines(st.reasons(now, c.o), now)); diff != "" {
				t.Errorf("reasons (-want +got):\n%s", diff)
			}
		})
	}
}

// TestPathWarning drops packets of the pair's MTU on the path to a peer. This must always cause a warning, and never a
// reason against a takeover.
func TestPathWarning(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	peer := netip.MustParseAddr("192.0.2.2")
	for _, c := range []struct {
		name    string
		state   State
		trouble replication.PathTrouble
		o       ReadyOptions
		want    []string
	}{
		{"none", Running, replication.PathTrouble{}, ReadyOptions{}, nil},
		{"WireGuard", Running, replication.PathTrouble{Peer: peer, MTU: 1500, Works: 1420, Since: now.Add(-time.Minute)}, ReadyOptions{},
			[]string{`peer 192.0.2.2 does not receive packets of 1500 bytes, but receives packets of 1420 bytes, for 1m0s; write "mtu": 1420 in the netsocket file of this host, or raise the MTU of the path`}},
		{"with a bound on the lag", Running, replication.PathTrouble{Peer: peer, MTU: 1420, Works: 1400, Since: now}, ReadyOptions{MaxLag: time.Second},
			[]string{`peer 192.0.2.2 does not receive packets of 1420 bytes, but receives packets of 1400 bytes; write "mtu": 1400 in the netsocket file of this host, or raise the MTU of the path`}},
		{"nothing works", Running, replication.PathTrouble{Peer: peer, MTU: 1280, Since: now}, ReadyOptions{},
			[]string{`peer 192.0.2.2 does not receive packets of 1280 bytes, nor longer ones; raise the MTU of the path to at least 1280`}},
		{"not running", Waiting, replication.PathTrouble{Peer: peer, MTU: 1280, Since: now}, ReadyOptions{}, nil},
	} {
		st := readiness{state: c.state, sequence: true, sync: worker.SyncState{Synced: syncwire.SyncYes, Answered: now, Path: c.trouble}}
		if diff := cmp.Diff(c.want, lines(st.warnings(nil, now, c.o), now)); diff != "" {
			t.Errorf("%s: warnings (-want +got):\n%s", c.name, diff)
		}
		if why := st.reasons(now, ReadyOptions{}); c.state == Running && len(why) > 0 {
			t.Errorf("%s: reasons %v", c.name, why)
		}
	}
}
