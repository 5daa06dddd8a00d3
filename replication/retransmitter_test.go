package replication

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/session"
	"joolctl/syncwire"
)

// TestRetransmitter has peers request live datagrams again and again. A window's limits hold, and end with the window.
func TestRetransmitter(t *testing.T) {
	f := session.FormatOf(40)
	now := time.Unix(1_000_000, 0)
	const n = MaxRetransmitted + 10
	var r Retransmitter
	for seq := range syncwire.Seq(n) {
		record := tcpRecord(1+int(seq), 100_000)
		if seq == 7 { // sent again in the next datagram
			record = tcpRecord(9, 100_000)
		}
		entries, err := f.AppendRecord(nil, &record, ttl.Pool6)
		if err != nil {
			t.Fatal(err)
		}
		r.Put(seq, entries, now)
	}
	var buf []byte
	requests := func(at time.Duration, ranges ...syncwire.Range) (sent []uint32, gone, superseded []syncwire.Range) {
		buf, gone, superseded = r.Requested(ranges, f, buf, now.Add(at), func(_ []byte, seq syncwire.Seq) { sent = append(sent, uint32(seq)) })
		return sent, gone, superseded
	}
	sent, gone, superseded := requests(time.Second, syncwire.Range{From: 6, To: 8}, syncwire.Range{From: n, To: n + 1})
	if diff := cmp.Diff([]uint32{6, 8}, sent); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([][]syncwire.Range{{{From: n, To: n + 1}}, {{From: 7, To: 7}}}, [][]syncwire.Range{gone, superseded}); diff != "" {
		t.Errorf("gone and superseded (-want +got):\n%s", diff)
	}
	// One that is superseded is looked for again.
	if sent, _, _ := requests(time.Second+RetransmitWindow/2, syncwire.Range{From: 6, To: 8}); len(sent) > 0 {
		t.Errorf("%v are sent twice in a window", sent)
	}
	if sent, _, _ := requests(time.Second+RetransmitWindow, syncwire.Range{From: 0, To: n - 1}); len(sent) > MaxRetransmitted || len(sent) < MaxRetransmitted-10 {
		t.Errorf("%d datagrams in a window", len(sent))
	}
	replies := func(at time.Duration) (n int) {
		for range 2 * MaxReplies {
			if r.MayReply(now.Add(at)) {
				n++
			}
		}
		return n
	}
	if a, b := replies(time.Second+RetransmitWindow), replies(time.Minute); a != MaxReplies || b != MaxReplies {
		t.Errorf("%d and %d replies in two windows, want %d each", a, b, MaxReplies)
	}
	if sent, _, _ := requests(2*time.Minute, syncwire.Range{From: 6, To: 6}); len(sent) != 1 {
		t.Errorf("%d datagrams in the next window, want 1", len(sent))
	}
}
