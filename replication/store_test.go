package replication

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"joolctl/session"
	"joolctl/syncwire"
)

// reportMany has as many other sessions reported during a full sync as the host records.
func (h *receiverHost) reportMany() {
	for i := range MaxReported {
		var r session.Record
		binary.BigEndian.PutUint32(r[:], uint32(i))
		h.Report(&r, ReportLag, h.now)
	}
}

// packedList is a list of sessions as a live datagram has it.
func packedList(t *testing.T, records ...session.Record) (list []byte) {
	t.Helper()
	for i := range records {
		var err error
		if list, err = session.Packed40.AppendRecord(list, &records[i], ttl.Pool6); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// TestReportedMeanwhile has a session reported during a full sync, which brings an older record of it, or a session whose
// mapping excludes its own. The reported session stays.
func TestReportedMeanwhile(t *testing.T) {
	const n = 100
	old := 20 * time.Minute
	opened := kind(sessionAt(0, 0), session.TCP, session.V6Init, session.TimerTransitory, 0)
	open := kind(opened, session.TCP, session.Established, session.TimerEstablished, 0)
	stale := kind(opened, session.TCP, session.Established, session.TimerEstablished, old)
	other := sessionAt(0, 0) // of the same host and mask
	other[23]++
	all := sessionsAt(0, n)
	with := func(r session.Record) []session.Record { return append([]session.Record{r}, all[1:]...) }
	for _, c := range []struct {
		name string
		// own is in the module before, brings arrives in the full sync, and live meanwhile.
		own    []session.Record
		brings []session.Record
		live   session.Record
		report bool // it is the own module that reports live
		many   bool // and so many other sessions meanwhile
		want   session.Record
		absent int // sessions that are not stored
	}{
		{"a peer's", nil, with(opened), open, false, false, open, 0},
		{"a peer's, beside too many others", nil, with(opened), open, false, true, open, 0},
		{"the own module's", nil, with(opened), open, true, false, open, 0},
		{"the own module's, beside too many others", nil, with(opened), open, true, true, open, 0},
		{"the mapping was reported", []session.Record{stale}, with(taken(0, 0)), other, true, false, other, 1},
		{"the mapping was reported, beside too many others", []session.Record{stale}, with(taken(0, 0)), other, true, true, other, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newReceiverHost(c.own...)
			h.begins(5, n)
			h.run()
			h.full = true // live datagrams go to the module at once
			if c.many {
				h.reportMany()
			}
			if list := packedList(t, c.live); c.report {
				h.Report(&c.live, ReportLag, h.now)
				h.Receiver.host.Deliver(list, false, h.now)
			} else if !h.Receiver.Queue(list, false) {
				h.Receiver.host.Deliver(list, false, h.now)
			}
			for i := range bulksOf(n) {
				h.bulk(5, i, c.brings)
			}
			h.ends(5, n)
			h.run()
			if r, there := h.module[c.want.Key()]; !there || !r.Same(&c.want) {
				t.Errorf("%x, want %x", r, c.want)
			}
			missing := 0
			for _, r := range c.brings {
				if !has(h.module, r) {
					missing++
				}
			}
			if missing != c.absent || h.last().Got != n {
				t.Errorf("%d of %d sessions are missing, want %d: %+v", missing, n, c.absent, h.last())
			}
			if h.reported.Overflowed() || h.Recording() {
				t.Error("the next full sync would inject too little")
			}
		})
	}
}

// TestReportedWhileCompared has the module report sessions after the tables were compared and before BIB entries are
// removed.
func TestReportedWhileCompared(t *testing.T) {
	old := 20 * time.Minute
	another := sessionAt(0, 0) // of the host whose mapping is to be removed
	another[23]++
	for _, c := range []struct {
		name              string
		reported          []session.Record
		overflowed        bool
		removed, injected int
	}{
		{"nothing", nil, false, 2, 2},
		{"a session of one of the mappings", []session.Record{another}, false, 1, 1},
		{"a session of another mapping", []session.Record{sessionAt(800, 0)}, false, 2, 2},
		{"too many sessions", nil, true, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newReceiverHost(sessionAt(0, old), sessionAt(4, old))
			table := []session.Record{taken(0, 0), taken(4, 0)}
			h.begins(6, len(table))
			h.run()
			h.bulk(6, 0, table)
			h.ends(6, len(table))
			if len(h.posted) != 1 || !h.in.comparing {
				t.Fatal("the comparison has not ended, or is stored")
			}
			for i := range c.reported {
				h.Report(&c.reported[i], ReportLag, h.now)
			}
			if c.overflowed {
				h.reportMany()
				h.Report(&another, ReportLag, h.now)
			}
			h.run()
			if last := h.last(); len(h.removed) != c.removed || last.Injected != c.injected || last.Collisions != 2-c.injected {
				t.Errorf("%d mappings are removed, want %d: %+v", len(h.removed), c.removed, last)
			}
		})
	}
}

// TestForgedTables has a forger send whole tables that give all masks to other hosts. The host removes as many mappings
// as allowed, and requests the other sessions again.
func TestForgedTables(t *testing.T) {
	const n, may = 2000, 200
	old := sessionsOfMasks(n, time.Hour)
	h := newReceiverHost(old...)
	for round := range 3 {
		var forged []session.Record
		for i := range n {
			r := taken(4*i, 0)
			r[9] = byte(round)
			forged = append(forged, r)
		}
		h.removals = RemovalLimit{}
		h.removals.Spend(MaxRemovals-may, h.now)
		h.removed = nil
		h.receives(uint32(5+round), forged)
		r := h.last()
		if len(h.removed) != r.Replaced || r.Replaced != may || round == 0 && r.Collisions != n-may {
			t.Errorf("round %d: %d mappings were removed, want %d: %+v", round, len(h.removed), may, r)
		}
		if h.Cause != CauseBlocked || h.About != h.peer {
			t.Errorf("round %d: a full sync is wanted because of %q", round, h.Cause)
		}
		if got := h.Progress().Blocked; got == 0 {
			t.Errorf("round %d: no sessions are blocked", round)
		}
		h.now = h.now.Add(time.Second)
	}
	if kept := slices.DeleteFunc(old, func(r session.Record) bool { return !has(h.module, r) }); len(kept) < n-3*may {
		t.Errorf("%d of %d sessions are left", len(kept), n)
	}
}

// TestReceive receives a table piece by piece.
func TestReceive(t *testing.T) {
	n := 10 * syncwire.MaxBulk
	h := newReceiverHost(sessionsAt(n-50, 100)...)
	h.Piece = 2 * syncwire.MaxBulk
	h.receives(5, sessionsAt(0, n))
	if r := h.last(); r.Got != n || r.Injected != n-50 || r.Had != 50 || r.GaveBack != 50 || len(h.module) != n+50 {
		t.Errorf("%+v, and %d sessions", r, len(h.module))
	}
}

// TestOwnTableUnread has a full sync end because the own table cannot be read. The sender's next BEGIN does not begin it again, and
// another full sync for the same cause follows after a pause.
func TestOwnTableUnread(t *testing.T) {
	for _, cause := range []string{CauseVerification, CauseLargerTable} {
		h := newReceiverHost()
		h.unreadable = errors.New("no memory")
		h.Want(cause, h.peer, h.now)
		due := h.Schedule.due
		for range 3 {
			h.begins(5, 1)
			h.run()
			h.now = h.now.Add(SolicitEvery)
		}
		unread := 0
		for _, e := range h.events {
			if _, is := e.(OwnTableUnread); is {
				unread++
			}
		}
		if unread != 1 || h.Receiver.Phase() != PhaseSettled {
			t.Errorf("%s: the table was read %d times, now %v", cause, unread, h.Receiver.Phase())
		}
		if h.Cause != cause || h.Schedule.due.Sub(due) < FirstPause {
			t.Errorf("%s: then a full sync for %q, %v later", cause, h.Cause, h.Schedule.due.Sub(due))
		}
	}
}
