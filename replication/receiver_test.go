package replication

import (
	"slices"
	"testing"
	"time"

	"joolctl/session"
	"joolctl/syncwire"
)

// TestStall lets 10 s pass in which no new BULK arrives. The host gives a full sync up only if its sender is silent.
func TestStall(t *testing.T) {
	const bulks = 5000
	table := sessionsAt(0, syncwire.MaxBulk)
	records := recordBytes(table)
	for _, c := range []struct {
		name string
		says func(h *receiverHost)
		want Phase
	}{
		{"silence", func(*receiverHost) {}, PhaseSettled},
		{"BULKs that have arrived before", func(h *receiverHost) { h.bulk(1, 0, table) }, PhaseCollecting},
		{"BULKs too far ahead", func(h *receiverHost) {
			h.Bulk(&syncwire.Bulk{FullSync: 1, Index: bulks - 2, Records: records}, h.peer, h.now, h.now)
		}, PhaseCollecting},
		{"BULKs of another full sync", func(h *receiverHost) { h.bulk(2, 0, table) }, PhaseSettled},
		{"BEGINs", func(h *receiverHost) { h.begins(1, bulks*syncwire.MaxBulk) }, PhaseCollecting},
		{"a datagram waits in the socket", func(h *receiverHost) { h.waiting = true }, PhaseCollecting},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newReceiverHost()
			h.Set(CauseStart)
			h.begins(1, bulks*syncwire.MaxBulk)
			h.run()
			h.bulk(1, 0, table)
			for end := h.now.Add(10 * time.Second); h.now.Before(end); h.now = h.now.Add(StallFor * 4 / 5) {
				c.says(h)
				h.tick(h.now)
				h.run()
			}
			if h.phase != c.want {
				t.Errorf("%v, want %v", h.phase, c.want)
			}
			in := h.in
			if in == nil {
				in = h.stopped
			}
			if in == nil || in.got != 1 {
				t.Error("the host has dropped the BULK")
			}
			h.tick(h.now.Add(KeepStopped))
			if c.want == PhaseSettled && h.stopped != nil {
				t.Error("the host keeps the BULK for ever")
			}
		})
	}
}

// TestStoppedResumes has a sender fall silent in the middle until the host gives up. The BULKs that it sends then
// complete those that it sent before.
func TestStoppedResumes(t *testing.T) {
	const n = 100
	table := sessionsAt(0, n)
	for _, c := range []struct {
		name    string
		resumes func(h *receiverHost)
	}{
		{"with BULKs", func(*receiverHost) {}},
		{"with BEGIN", func(h *receiverHost) { h.begins(5, n) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newReceiverHost()
			h.Set(CauseStart)
			h.begins(5, n)
			h.run()
			h.bulk(5, 0, table)
			h.givesUp(t)
			c.resumes(h)
			for i := uint32(1); i < bulksOf(n); i++ {
				h.bulk(5, i, table)
			}
			h.ends(5, n)
			h.run()
			if r := h.last(); r.Got != n || r.Injected != n || len(h.module) != n {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestResumedWithBlocked has a full sync stop after own mappings have blocked sessions of its first piece, and resume. The rest does
// not bring these sessions, so the host does not take all of the sender's sessions to be in the table.
func TestResumedWithBlocked(t *testing.T) {
	const n = 4 * syncwire.MaxBulk
	for _, own := range []time.Duration{0, time.Hour} { // a mapping that is as young stays
		h := newReceiverHost(sessionAt(0, own))
		table := []session.Record{taken(0, 0)}
		for i := 1; i < n; i++ {
			table = append(table, sessionAt(4*i, 0))
		}
		h.Set(CauseStart)
		h.Piece = n / 2
		h.tried = []syncwire.ID{h.peer.ID}
		h.Begin(&syncwire.Begin{FullSync: 5, Sessions: n, Settings: ttl, Audience: []syncwire.ID{h.knowledge.Self()}, Vector: h.whole()}, h.peer, h.now, h.now)
		h.run()
		for i := range bulksOf(n / 2) {
			h.bulk(5, i, table)
			h.run()
		}
		h.givesUp(t)
		for i := bulksOf(n / 2); i < bulksOf(n); i++ {
			h.bulk(5, i, table)
		}
		h.ends(5, n)
		h.run()
		if r := h.last(); r.Got != n {
			t.Fatalf("%+v", r)
		}
		stored := has(h.module, table[0])
		if contains := h.knowledge.vector.Contains(h.peer.ID, syncwire.Position{Generation: 1}); contains != stored || stored != (own > 0) {
			t.Errorf("the host has the blocked session: %v, and claims it: %v", stored, contains)
		}
	}
}

// TestDoubtfulEnd has an END say that the sender's table may lack sessions of other origins.
func TestDoubtfulEnd(t *testing.T) {
	h := newReceiverHost()
	at := syncwire.Position{Generation: 1, Seq: 5}
	h.tried = []syncwire.ID{h.peer.ID}
	h.Begin(&syncwire.Begin{FullSync: 5, Sessions: 39, Settings: ttl, Audience: []syncwire.ID{h.knowledge.Self()}, Vector: []syncwire.Component{
		{Origin: 0x99, Known: true, Complete: at, Highest: at}, {Origin: h.peer.ID, Known: true, Complete: at, Highest: at}}}, h.peer, h.now, h.now)
	h.End(&syncwire.End{FullSync: 5, Sessions: 39, Bulks: 1, Doubtful: true}, h.peer, h.now)
	if v := h.in.vector; len(v) != 1 || v[0].Origin != h.peer.ID {
		t.Errorf("%+v", v)
	}
}

// TestUnasked has peers begin full syncs that the host has not requested.
func TestUnasked(t *testing.T) {
	h := newReceiverHost()
	began := 0
	for i := range uint32(2 * MaxUnasked) {
		h.Begin(&syncwire.Begin{FullSync: 1 + i, Sessions: 1, Why: syncwire.WhyAdvertise, Settings: ttl}, h.peer, h.now, h.now)
		if h.in != nil {
			began++
			h.run()
			h.bulk(1+i, 0, []session.Record{sessionAt(0, 0)})
			h.ends(1+i, 1)
			h.run()
		}
	}
	if began != MaxUnasked {
		t.Errorf("received %d, want %d", began, MaxUnasked)
	}
}

// TestUnaskedTime has full syncs arrive that the host has not requested. They get a quarter of the time at most.
func TestUnaskedTime(t *testing.T) {
	h := newReceiverHost()
	h.finish(h.now)
	advertised := func(id uint32, why syncwire.Why, lasts time.Duration) bool {
		h.Begin(&syncwire.Begin{FullSync: id, Why: why, Sessions: 39, Settings: ttl}, h.peer, h.now, h.now)
		h.run()
		begins := h.phase == PhaseCollecting
		h.now = h.now.Add(lasts)
		h.bulk(id, 0, sessionsAt(0, 39))
		h.ends(id, 39)
		h.run()
		return begins
	}
	began, spent := h.now, time.Duration(0)
	for id := uint32(1); h.now.Sub(began) < 5*time.Minute; id++ {
		if advertised(id, syncwire.WhyAdvertise, 3*time.Second) {
			spent += 3 * time.Second
		}
	}
	if most := UnaskedIn + 5*time.Minute/CostFactor + 6*time.Second; spent > most || spent < most/2 {
		t.Errorf("unrequested full syncs take %v of 5 minutes", spent)
	}
	h.peer.Served, h.unaskedUntil = h.now, h.now.Add(time.Minute)
	if !advertised(1000, syncwire.WhyReturn, time.Second) {
		t.Error("a full sync that returns sessions is refused")
	}
	if advertised(1001, syncwire.WhyReturn, time.Second) {
		t.Error("the host has sent its table once, and gets two full syncs that return sessions")
	}
}

// TestTableTooBig has a peer announce more sessions than a full sync takes. The host ignores the full sync, and says so.
func TestTableTooBig(t *testing.T) {
	h := newReceiverHost()
	h.begins(5, MaxSessions+1)
	if want := (TableTooBig{From: peerAddress, Sessions: MaxSessions + 1}); h.phase == PhaseCollecting || !slices.Contains(h.events, Event(want)) {
		t.Errorf("%v, %+v", h.phase, h.events)
	}
}

// TestFound has full syncs bring sessions. Those count as found by a safety net that no vector has shown to be missing.
func TestFound(t *testing.T) {
	for cause, want := range map[string]uint64{CauseVerification: 3, CauseLargerTable: 3, CauseLacks: 0, CauseAdvertised: 0} {
		h := newReceiverHost()
		h.Set(cause)
		if h.receives(5, sessionsAt(0, 3)); h.counted[CountFound] != want {
			t.Errorf("%s: %d sessions count as found, want %d", cause, h.counted[CountFound], want)
		}
	}
}
