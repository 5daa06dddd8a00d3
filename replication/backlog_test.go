package replication

import (
	"slices"
	"testing"
	"time"

	"joolctl/session"
)

// TestBacklog has live datagrams wait for a full sync that injects records of the same sessions. Of each session, the newer
// record stays.
func TestBacklog(t *testing.T) {
	f := session.FormatOf(40)
	list := func(records ...session.Record) (entries []byte) {
		for i := range records {
			var err error
			if entries, err = f.AppendRecord(entries, &records[i], ttl.Pool6); err != nil {
				t.Fatal(err)
			}
		}
		return entries
	}
	now := time.Unix(1_000_000, 0)
	var b Backlog
	if !b.Add(list(tcpRecord(1, 100_000), tcpRecord(2, 100_000)), false, now) || !b.Add(list(tcpRecord(3, 100_000)), true, now) {
		t.Fatal("there is no room")
	}
	newer, older, other := tcpRecord(1, 200_000), tcpRecord(2, 50_000), tcpRecord(9, 100_000)
	for _, r := range []*session.Record{&newer, &older, &other} {
		b.Injected(r)
	}
	if b.Len() != 2 || b.Sessions() != 3 {
		t.Errorf("%d updates with %d sessions", b.Len(), b.Sessions())
	}
	var left []uint32
	outdated := 0
	unreported := b.Release(now, now.Add(time.Second), &ttl, func(entries []byte, retransmitted bool) {
		if n := f.CountList(entries); n != 1 || retransmitted != (len(left) == 1) {
			t.Fatalf("%d sessions, retransmitted: %v", n, retransmitted)
		}
		left = append(left, f.Expires(entries))
	}, func([]byte) { outdated++ })
	if outdated != 1 || unreported != 0 || len(left) != 2 || left[0] != 99_000 || left[1] != 99_000 {
		t.Errorf("%d sessions are outdated; the others have %v ms left", outdated, left)
	}
	if b.Len() != 0 || b.Sessions() != 0 {
		t.Error("updates are left")
	}
}

// TestBacklogReported has the own module report a session between two updates of it. Only the later update stays.
func TestBacklogReported(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	first, second, other := tcpRecord(1, 100_000), tcpRecord(1, 90_000), tcpRecord(2, 100_000)
	var b Backlog
	b.Reported(&first, ReportLag, now)
	b.Add(packedList(t, first, other), false, now)
	b.Reported(&first, ReportLag, now)
	b.Add(packedList(t, second), false, now)
	var left []uint32
	outdated := 0
	b.Release(now, now, &ttl, func(entries []byte, _ bool) {
		for f := session.ListFormat(entries); len(entries) > 0; entries = entries[f.EntryLen():] {
			left = append(left, f.Expires(entries))
		}
	}, func([]byte) { outdated++ })
	if outdated != 1 || !slices.Equal(left, []uint32{100_000, 90_000}) {
		t.Errorf("%d sessions are outdated; the others have %v ms left", outdated, left)
	}
}

// TestBacklogReportWaited has the own module report a session while an update of it waits. The report may have waited for ReportLag, and
// may stem from an earlier packet than the update.
func TestBacklogReportWaited(t *testing.T) {
	record := func(s session.State, idleFor time.Duration) session.Record {
		timer := session.TimerEstablished
		if s == session.V6Init || s == session.Trans {
			timer = session.TimerTransitory
		}
		return kind(sessionAt(0, 0), session.TCP, s, timer, idleFor)
	}
	for _, c := range []struct {
		name             string
		update, reported session.Record
		stays            bool
	}{
		{"the update is further", record(session.Established, 460*time.Millisecond), record(session.V6Init, 500*time.Millisecond), true},
		{"the update is further, and seems older", record(session.Established, 3*time.Second), record(session.V6Init, 0), true},
		{"the report is further", record(session.V6Init, 460*time.Millisecond), record(session.Established, 500*time.Millisecond), false},
		{"both have one state", record(session.Established, 460*time.Millisecond), record(session.Established, 500*time.Millisecond), false},
		{"a packet has led back from TRANS", record(session.Trans, 3*time.Second), record(session.Established, 0), false},
		{"the update is younger by more than the report can have waited", record(session.Established, 0), record(session.V6Init, 10*time.Second), true},
		{"the update is younger by more than that, but the report is of a FIN", record(session.V6FinRcv, 0), record(session.V4FinRcv, 10*time.Second), false},
		{"the update is older by more than that", record(session.Established, 10*time.Second), record(session.V6Init, 0), false},
	} {
		now := time.Unix(1_000_000, 0)
		var b Backlog
		b.Add(packedList(t, c.update), false, now)
		b.Reported(&c.reported, ReportLag, now)
		kept, outdated := 0, 0
		unreported := b.Release(now, now.Add(time.Second), &ttl, func(entries []byte, _ bool) { kept += session.ListFormat(entries).CountList(entries) },
			func([]byte) { outdated++ })
		if kept > 0 != c.stays || unreported > 0 != c.stays || outdated > 0 == c.stays {
			t.Errorf("%s: the update stays: %v, unreported: %d, outdated: %d", c.name, kept > 0, unreported, outdated)
		}
	}
}
