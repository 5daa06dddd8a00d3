package worker

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"joolctl/replication"
)

// TestWireDocumentation compares the numbers in docs/wire.md with the code's.
func TestWireDocumentation(t *testing.T) {
	text, err := os.ReadFile("../docs/wire.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "## Timing and bounds\n")
	want := [][2]string{
		{"HELLO while busy", fmt.Sprint(replication.HelloBusy)},
		{"HELLO while idle", fmt.Sprint(replication.HelloIdle)},
		{"HELLO back within", fmt.Sprint(replication.HelloBack)},
		{"datagrams wait behind a gap for", fmt.Sprint(replication.ReorderFor)},
		{"datagrams that wait behind a gap", fmt.Sprint(replication.MaxBuffered)},
		{"datagrams of one sender that are waited for", fmt.Sprint(replication.MaxMissing)},
		{"NACKs for one datagram", fmt.Sprint(replication.MaxNacks)},
		{"datagrams kept for retransmission", fmt.Sprint(replication.RetransmitDatagrams)},
		{"a datagram is retransmitted once in", fmt.Sprint(replication.RetransmitWindow)},
		{"datagrams retransmitted in that time", fmt.Sprint(replication.MaxRetransmitted)},
		{"control messages sent in that time because of others'", fmt.Sprint(replication.MaxReplies)},
		{"retransmitted sessions looked up in that time", fmt.Sprint(replication.MaxLookups)},
		{"a first HELLO is waited for", fmt.Sprint(replication.ListenFor)},
		{"others' HELLOs are waited for", fmt.Sprint(replication.ListenForMore)},
		{"a HELLO may be late by", fmt.Sprint(replication.LateHello)},
		{"missing live datagrams don't count for", fmt.Sprint(replication.PendingFor)},
		{"drops of the module are over after", fmt.Sprint(replication.DroppingFor)},
		{"a peer's drops keep a host from requesting its table for", fmt.Sprint(replication.DropsLast)},
		{"missing live datagrams are requested unless the sender was silent for", fmt.Sprint(replication.AbsentAfter)},
		{"older datagrams and messages in a row until a sender's numbers have started again", fmt.Sprint(replication.RestartAfter)},
		{"HELLOs with a lower position in a row until they count", fmt.Sprint(replication.OutdatedHellos)},
		{"origins known at a time", fmt.Sprint(replication.MaxOrigins)},
		{"a BEGIN is waited for", fmt.Sprint(replication.BeginWithin)},
		{"meanwhile SOLICIT is sent every", fmt.Sprint(replication.SolicitEvery)},
		{"a BULK is waited for", fmt.Sprint(replication.StallFor)},
		{"the first BULK is waited for, beside 20 µs for each session", fmt.Sprint(replication.ReadWithin)},
		{"waits in a row before the next peer is asked", fmt.Sprint(replication.MaxStalls)},
		{"requests of other hosts are waited for", fmt.Sprint(replication.GatherRequests)},
		{"answers in a row", fmt.Sprint(replication.SyncsInARow)},
		{"a pause between two answers at most", fmt.Sprint(replication.LongestWait)},
		{"BULKs are sent every", fmt.Sprint(replication.TransferTick)},
		{"BULKs at a time", fmt.Sprintf("%d to %d", replication.MinRate, replication.MaxRate)},
		{"BULKs are retransmitted after END for", fmt.Sprint(replication.KeepSent)},
		{"full syncs kept for that", fmt.Sprint(replication.MaxSent)},
		{"an incomplete full sync is kept for", fmt.Sprint(replication.KeepStopped)},
		{"retransmissions of a BULK, on average", fmt.Sprint(replication.MaxRetransmissions)},
		{"full syncs accepted without a request", fmt.Sprintf("%d in %v", replication.MaxUnasked, replication.UnaskedIn)},
		{"mappings removed because of newer ones", fmt.Sprintf("%d in %v", replication.MaxRemovals, replication.RemovalsIn)},
		{"sessions of a full sync", fmt.Sprint(replication.MaxSessions)},
		{"sessions reported during a full sync that it does not change", fmt.Sprint(replication.MaxReported)},
		{"pause between full syncs for one reason", fmt.Sprintf("%v to %v", replication.FirstPause, replication.LongestPause)},
		{"a reason that recurs within that time after a full sync that has stored nothing is the same", fmt.Sprint(replication.LastingFor)},
		{"a padded HELLO is confirmed for", fmt.Sprint(replication.PaddedKept)},
		{"a padded HELLO of the MTU is sent every", fmt.Sprint(replication.PathEvery)},
		{"a search for another MTU is repeated after", fmt.Sprint(replication.SearchEvery)},
		{"padded HELLOs of the MTU, and of another length, until it counts as too long", fmt.Sprintf("%d and %d", replication.PathTries, replication.SearchTries)},
		{"peers known at a time", fmt.Sprint(replication.MaxPeers)},
	}
	rows := 0
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| what") {
			rows++
		}
	}
	if rows != len(want) {
		t.Errorf("docs/wire.md has %d numbers, want %d", rows, len(want))
	}
	for _, w := range want {
		if row := fmt.Sprintf("| %s | %s |\n", w[0], w[1]); !strings.Contains(table, row) {
			t.Errorf("docs/wire.md lacks %s", row)
		}
	}
}
