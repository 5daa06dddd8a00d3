package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"joolctl/cmd/joolctl/internal/table"
	"joolctl/internal/golden"
	"joolctl/replication"
	"joolctl/supervisor"
	"joolctl/worker"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// sample returns a status that contains every kind of value.
func sample() supervisor.Status {
	none := []replication.Reason{}
	return supervisor.Status{
		Directory: "/etc/joold.d", Version: "1.2.3", UptimeSeconds: 93784.5, Reason: "cannot read directory /etc/joold.d: permission denied",
		Runtime: supervisor.Runtime{Goroutines: 12, HeapBytes: 3145728},
		Totals: worker.Stats{KernelSentPackets: 9, KernelSentBytes: 360, NetRcvdPackets: 10, NetRcvdBytes: 400,
			NetSentPackets: 123456, NetSentBytes: 4938240},
		Workers: []supervisor.Row{
			{
				Name: "p2", Namespace: "blue", Instance: "nat", Group: "[ff08::db8:64:64]:6464", ConfiguredPeers: []supervisor.ConfiguredPeer{{Address: "[2001:db8::9]:6464"}, {Address: "[2001:db8::7]:6464", Heard: true}},
				UnlistedSender: &supervisor.UnlistedSender{Address: "2001:db8::66", LastHeardSeconds: 3}, State: supervisor.Running,
				Security: "send", KeyIDs: []int{1},
				Since: now.Add(-26 * time.Hour), Synced: "alone",
				Stats: worker.Stats{KernelSentPackets: 9, KernelSentBytes: 360, NetRcvdPackets: 10, NetRcvdBytes: 400,
					NetSentPackets: 123456, NetSentBytes: 4938240},
				Sessions: new(uint64(39000)), BestPeerSessions: new(uint64(40000)), LostSessions: 51,
				FullSyncs: worker.FullSyncs{Stored: 3, Unanswered: 1},
				Lag:       &supervisor.Lag{Sessions: 35, Seconds: 1.214},
				Rates:     &supervisor.Rates{WindowSeconds: 12.5, In: 3.2, Out: 340.08},
				FullSync: &supervisor.FullSyncProgress{Phase: "receiving", Cause: "the tables were never compared", DoneSessions: 63, TotalSessions: 100,
					Ends: now.Add(time.Minute), Incomplete: true},
				LastFullSync: &supervisor.FullSync{From: "2001:db8::2", Cause: "start", At: now.Add(-3 * time.Minute), Received: 40000, Own: 39000, Injected: 990,
					Replaced: 2, Collided: 10, Returned: 3, Seconds: 1.234567, Receiving: 0.8, Comparing: 0.1, Injecting: 0.334567},
				Advertise: &replication.Advertise{Sent: 1200, Total: 40000, Rate: 4000},
				Ledger: worker.Ledger{Reported: 500, Coalesced: 200, Refreshed: 20, Sent: 319, Unsent: 1, Retransmitted: 36, Advertised: 1200,
					Received: 400, Translated: 40, Cut: 7, Injected: 990, Ignored: 72, Given: 1282},
				Losses: worker.Losses{KernelDropped: 4, NetlinkLost: 36, NetlinkOverruns: 1, NetworkLost: 2, Repaired: 3, Malformed: 2, NotUnderstood: 5,
					Collisions: 10},
				DifferingCounters: []string{"KERNEL_SENT_PKTS: JSTAT_JOOLD_PKT_RCVD is 3 packets ahead: another program writes to the instance",
					"NET_SENT of peer 2001:db8::2: 84 bytes in 2 live datagrams, of which 80 bytes came in 2"},
				Reasons: []replication.Reason{
					{Code: replication.FullSync, Text: "a full sync is under way: receiving at 63 % (63 of 100 sessions)"},
					{Code: replication.DatagramsMissing, Peer: "2001:db8::2", Datagrams: 12, Since: now.Add(-90 * time.Second),
						Text: "peer 2001:db8::2: 12 live datagrams are missing", Remedy: "type: jool"},
				},
				Warnings: []replication.Reason{
					{Code: replication.KeyMissing, Peer: "2001:db8::2", Since: now.Add(-90 * time.Second), Text: "peer 2001:db8::2 seals with key 2, which this host lacks",
						Remedy: "add key 2 to /etc/joold.d/blue.key, as it is in the key file there"},
					{Code: replication.Lags, Peer: "2001:db8::2", Sessions: 35,
						Text: "peer 2001:db8::2 had not stored 35 sessions at its last HELLO, the oldest of them for 1.214s"}},
				Exposure: &supervisor.Exposure{AtMostSeconds: 2.004, Refused: "the session [2001:db8::8]:1 lies outside pool4",
					Remedy: "remove the sessions outside pool4, then type: ip netns exec blue jool -i nat global update ss-flush-deadline 4"},
				Kernel: map[string]uint64{"JSTAT_JOOLD_SSS_ENOSPC": 4, "JSTAT_JOOLD_PKT_RCVD": 9},
				Peers: []supervisor.Peer{
					{Address: "192.0.2.2", LastHeardSeconds: 1, Live: true},
					{Address: "2001:db8::2", LastHeardSeconds: 0.25, Live: true, Software: "joolctl", Version: "4.1.15", Synced: "yes",
						Sessions: new(uint64(40000)), Lag: &supervisor.Lag{Sessions: 35, Seconds: 1.214}, Lost: new(uint64(2)), Repaired: new(uint64(3)), Differs: []string{"pool6", "udp-timeout"},
						Security: "require", KeyIDs: []int{2, 1}, SealingKeyID: new(1)},
					{Address: "2001:db8::3", LastHeardSeconds: 75, Lost: new(uint64(0)), Repaired: new(uint64(0))},
				},
			},
			{
				Name: "p10", Instance: "default", State: supervisor.Waiting, Since: now.Add(-90 * time.Second), Restarts: 3,
				Advertise: &replication.Advertise{Sent: 7, Total: 40000, Rate: 4000, Ended: true, Error: "the table can't be read"},
				Reason:    `instance "default" does not exist; type: jool instance add default --netfilter --pool6 64:ff9b::/96`,
				Synced:    "alone", Reasons: none, Warnings: none, DifferingCounters: []string{}, Kernel: map[string]uint64{}, Peers: []supervisor.Peer{}, ConfiguredPeers: []supervisor.ConfiguredPeer{},
			},
			{
				Name: "p11", Instance: "tab\there", State: supervisor.Backoff, Since: now.Add(-4 * time.Hour), Restarts: 12,
				Reason: "failed: boom; next try at 2026-03-01T12:00:10Z",
				Synced: "alone", Reasons: none, Warnings: none, DifferingCounters: []string{}, Kernel: map[string]uint64{}, Peers: []supervisor.Peer{}, ConfiguredPeers: []supervisor.ConfiguredPeer{},
			},
			{
				Name: "p12", State: supervisor.Failed, Since: now,
				Reason: "/etc/joold.d/p12.netsocket.json:3:9: ttl: is out of range; write 0 to 255",
				Synced: "alone", Reasons: none, Warnings: none, DifferingCounters: []string{}, Kernel: map[string]uint64{}, Peers: []supervisor.Peer{}, ConfiguredPeers: []supervisor.ConfiguredPeer{},
			},
		},
	}
}

func TestFormats(t *testing.T) {
	for name, format := range formats {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := format(&out, sample(), now, false); err != nil {
				t.Fatal(err)
			}
			golden.Compare(t, "status."+name, out.String())
		})
	}
}

func TestEmptyTable(t *testing.T) {
	var out bytes.Buffer
	s := supervisor.Status{Reason: "cannot read directory /etc/joold.d: permission denied"}
	if err := table.Write(&out, s, table.Options{Now: now}); err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, "status.empty", out.String())
}

// TestColours checks that colours do not change the text.
func TestColours(t *testing.T) {
	var plain, colourful bytes.Buffer
	if err := table.Write(&plain, sample(), table.Options{Now: now}); err != nil {
		t.Fatal(err)
	}
	if err := table.Write(&colourful, sample(), table.Options{Now: now, Colours: true}); err != nil {
		t.Fatal(err)
	}
	text := colourful.String()
	if n := strings.Count(text, table.ColourEnd); n != 4 {
		t.Errorf("%d coloured words, want 4", n)
	}
	for _, colour := range table.Colours {
		text = strings.ReplaceAll(text, colour, "")
	}
	if strings.ReplaceAll(text, table.ColourEnd, "") != plain.String() {
		t.Errorf("without its colours:\n%s", text)
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 59 * time.Second: "59s", time.Minute: "1m0s", time.Hour - 1: "59m59s",
		25 * time.Hour: "1d1h", 400*24*time.Hour + time.Minute: "400d0h", 90 * time.Minute: "1h30m",
	} {
		if got := table.Age(d); got != want {
			t.Errorf("age(%v) = %s, want %s", d, got, want)
		}
	}
}
