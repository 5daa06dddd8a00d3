package metrics

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"joolctl/joolnl"
	"joolctl/replication"
	"joolctl/supervisor"
	"joolctl/worker"
)

var at = time.Date(2026, 11, 29, 12, 0, 0, 123e6, time.UTC)

var sampleBuild = Build{"v0.2.0", "c9c8618f", "go1.26.8"}

// moduleCounters returns values for all counters of a version of the module.
func moduleCounters(t testing.TB, version string, first uint64) *joolnl.ModuleCounters {
	t.Helper()
	v, err := joolnl.ParseVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	var attrs []byte
	for number := range uint64(85) {
		attrs = binary.NativeEndian.AppendUint16(attrs, 12)
		attrs = binary.NativeEndian.AppendUint16(attrs, uint16(number+1))
		attrs = binary.NativeEndian.AppendUint64(attrs, first+number)
	}
	c, err := v.ParseCounters(attrs)
	if err != nil {
		t.Fatal(err)
	}
	return &c
}

// fullRow returns a row with every field.
func fullRow(name string) supervisor.Row {
	return supervisor.Row{
		Name: name, Namespace: "blue", Instance: "nat", Group: "[ff08::db8:64:64]:6464", ConfiguredPeers: []supervisor.ConfiguredPeer{{Address: "2001:db8::1", Heard: true}, {Address: "2001:db8::9"}}, State: supervisor.Running, Since: at.Add(-time.Hour), Restarts: 3,
		Synced:   "no",
		Reasons:  []replication.Reason{{Code: replication.DatagramsMissing}, {Code: replication.SettingsDiffer}, {Code: replication.SettingsDiffer}},
		Warnings: []replication.Reason{{Code: replication.Lags}, {Code: replication.PeerLacksKey}},
		Sessions: new(uint64(40000)), BestPeerSessions: new(uint64(40010)), Lag: &supervisor.Lag{Sessions: 120, Seconds: 1.25}, LostSessions: 17,
		FullSync:     &supervisor.FullSyncProgress{Phase: "receiving", DoneSessions: 630, TotalSessions: 1000, Incomplete: true},
		FullSyncs:    worker.FullSyncs{Stored: 4, Unanswered: 3, Interrupted: 2, TooLarge: 1},
		LastFullSync: &supervisor.FullSync{From: "fd64::2", At: at.Add(-time.Minute), Received: 101, Own: 102, Injected: 103, Replaced: 104, Collided: 105, Returned: 106, Seconds: 2.5, Receiving: 1.5, Comparing: 0.25, Injecting: 0.75},
		Stats:        worker.Stats{KernelSentPackets: 201, KernelSentBytes: 202, NetRcvdPackets: 203, NetRcvdBytes: 204, NetSentPackets: 205, NetSentBytes: 206},
		Ledger: worker.Ledger{Reported: 301, Coalesced: 302, Refreshed: 303, Sent: 304, Unsent: 305, Retransmitted: 306, Advertised: 307, Received: 308,
			Translated: 309, Cut: 310, Injected: 311, Ignored: 312, Given: 313},
		Losses: worker.Losses{KernelDropped: 401, NetlinkLost: 402, NetlinkOverruns: 403, NetworkLost: 404, Repaired: 405, WrittenOff: 406, FoundLate: 407, IgnoredClaims: 408,
			SocketDrops: 409, Malformed: 410, Untranslated: 411, Collisions: 412, NotUnderstood: 413, KernelErrors: 414, SendErrors: 415},
		DifferingCounters: []string{"reported 7, sent 8"},
		Exposure:          &supervisor.Exposure{AtMostSeconds: 4},
		Peers: []supervisor.Peer{
			{Address: "fd64::2", LastHeardSeconds: 0.5, Live: true, Software: "joolctl", Version: "4.1.15", Synced: "yes", Sessions: new(uint64(40010)),
				Lag: &supervisor.Lag{Sessions: 120, Seconds: 1.25}, Lost: new(uint64(5)), Repaired: new(uint64(6)), Differs: []string{"pool6", "udp-timeout"},
				Security: "require", KeyIDs: []int{2, 1}, SealingKeyID: new(2)},
			{Address: "fd64::3", LastHeardSeconds: 90},
		},
	}
}

// sample returns a snapshot of a pair with every field, and of a pair with almost none.
func sample(t testing.TB) *supervisor.Snapshot {
	t.Helper()
	return &supervisor.Snapshot{
		Status: supervisor.Status{
			Version: "v0.2.0", Runtime: supervisor.Runtime{Goroutines: 23, HeapBytes: 1 << 20},
			Workers: []supervisor.Row{fullRow("p1"), {Name: "a \"b\" \\ c\nd\xff", State: supervisor.Waiting, Since: at, Synced: "no",
				Reasons: []replication.Reason{{Code: replication.NotRunning}}}},
		},
		At: at, Started: at.Add(-2 * time.Hour),
		Module: []*joolnl.ModuleCounters{moduleCounters(t, "4.1.15", 1000), nil},
	}
}

// many returns a snapshot of n pairs with all counters of the module.
func many(t testing.TB, n int) *supervisor.Snapshot {
	t.Helper()
	s := sample(t)
	s.Workers, s.Module = nil, nil
	for i := range n {
		s.Workers = append(s.Workers, fullRow(fmt.Sprintf("customer%d", i)))
		s.Module = append(s.Module, moduleCounters(t, "4.1.15", uint64(1e9+i)))
	}
	return s
}
