package replication

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/syncwire"
)

// TestSolicitCost has forgers request the table all the time.
func TestSolicitCost(t *testing.T) {
	hour := time.Hour
	if testing.Short() {
		hour /= 6
	}
	for _, takes := range []time.Duration{10 * time.Millisecond, time.Second, 10 * time.Second} {
		for _, askers := range []uint32{1, 50} {
			h := newSenderHost(takes)
			i := uint32(0)
			h.run(hour, func() {
				i++
				h.Solicited(syncwire.ID(1+i%askers), h.now)
			})
			if most := hour*3/10 + SyncsInARow*takes; h.busy > most {
				t.Errorf("%d askers, a table that is read in %v: busy for %v of an hour", askers, takes, h.busy)
			}
			if h.busy < hour/20 {
				t.Errorf("%d askers, a table that is read in %v: busy for only %v of an hour", askers, takes, h.busy)
			}
			// The answer for which they have asked is for another peer, too.
			for !h.next.begin.IsZero() || h.current != nil {
				h.run(TransferTick, func() {})
			}
			for range 50 {
				i++
				h.Solicited(syncwire.ID(1+i%askers), h.now)
			}
			h.Solicited(1000, h.now)
			asked, waited := h.now, time.Duration(0)
			h.run(2*LongestWait, func() {
				i++
				h.Solicited(1+syncwire.ID(i%askers), h.now)
				if c := h.current; waited == 0 && c != nil && (len(c.audience) == 0 || slices.Contains(c.audience, 1000)) {
					waited = h.now.Sub(asked)
				}
			})
			if most := CostFactor*2*takes + takes + time.Second; waited == 0 || waited > most {
				t.Errorf("%d askers, a table that is read in %v: another peer waits for %v", askers, takes, waited)
			}
		}
	}
}

// TestSecondAskers has peers ask one after the other: each of the first ones has its answer without a pause.
func TestSecondAskers(t *testing.T) {
	const takes = time.Second
	for _, c := range []struct {
		name  string
		after time.Duration // between two of them
		peers int
		want  int // answers
		most  time.Duration
	}{
		{"together", 0, 5, 1, takes},
		{"while the table is read for the first", takes / 10, 5, 1, takes},
		{"while the table is sent to the first", takes + GatherRequests + TransferTick, 2, 2, 3 * takes},
		{"behind the first", takes * 3 / 2, 3, 3, 3 * takes * 3 / 2},
	} {
		h := newSenderHost(takes)
		next, id := h.now, syncwire.ID(1)
		h.run(c.most+time.Second/2, func() {
			for int(id) <= c.peers && !h.now.Before(next) {
				h.Solicited(id, h.now)
				id, next = id+1, next.Add(c.after)
			}
		})
		if h.ended != c.want || !h.next.begin.IsZero() {
			t.Errorf("%s: %d answers in time, want %d", c.name, h.ended, c.want)
		}
	}
}

// TestAdvertiseDoesNotWait has an operator advertise the table after peers have requested it too often.
func TestAdvertiseDoesNotWait(t *testing.T) {
	h := newSenderHost(time.Second)
	h.run(time.Minute, func() { h.Solicited(1, h.now) })
	for h.current != nil {
		h.run(TransferTick, func() {})
	}
	h.Solicited(1, h.now)
	if wait := h.mayBegin().Sub(h.now); wait < time.Second {
		t.Errorf("the next asker waits %v", wait)
	}
	h.Advertise(h.now)
	if wait := h.mayBegin().Sub(h.now); wait > GatherRequests {
		t.Errorf("the operator waits %v", wait)
	}
}

// TestSenderGoesOn has a peer request BULKs, or the whole table, while a host sends it. BULKs that were not sent yet are not
// retransmitted, or the whole table would be sent twice.
func TestSenderGoesOn(t *testing.T) {
	const bulks, sent, by = 200, 20, 0x10f
	request := func(h *senderHost, from, to uint32) {
		h.Requested(&syncwire.Nack{FullSync: h.current.id, Ranges: []syncwire.Range{{From: from, To: to}}}, by, h.now)
	}
	for _, c := range []struct {
		name  string
		asks  func(h *senderHost)
		want  func(sent int) int // BULKs
		begin int
	}{
		{"none", func(*senderHost) {}, func(int) int { return bulks }, 1},
		{"all", func(h *senderHost) { request(h, 0, bulks-1) }, func(sent int) int { return bulks + sent }, 1},
		{"all, twice", func(h *senderHost) {
			request(h, 0, bulks-1)
			request(h, 0, bulks-1)
		}, func(sent int) int { return bulks + sent }, 1},
		{"the last one", func(h *senderHost) { request(h, bulks-1, bulks-1) }, func(int) int { return bulks }, 1},
		{"the table, since BEGIN is lost", func(h *senderHost) {
			h.Solicited(by, h.now.Add(SolicitEvery))
			if !h.next.begin.IsZero() {
				t.Error("the whole table is to be sent once more")
			}
		}, func(int) int { return bulks }, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newSenderHost(0)
			a := &transmission{why: syncwire.WhyAnswer, audience: []syncwire.ID{by}, table: Snapshot{recordsAt(bulks * syncwire.MaxBulk), h.now}}
			before := 0
			h.transmits(a, sent, func() {
				before = int(a.next)
				c.asks(h)
			})
			if got, begins := h.bulks[a.id], h.begins[a.id]; got != c.want(before) || begins != c.begin {
				t.Errorf("%d BULKs and %d BEGINs, want %d and %d", got, begins, c.want(before), c.begin)
			}
		})
	}
}

// TestSessionsPerBulk has peers request the table of a host whose MTU is small. Peers with older software accept BULKs of
// syncwire.MaxBulk sessions only.
func TestSessionsPerBulk(t *testing.T) {
	const older, newer, unknown = 0x10f, 0x20f, 0x30f
	small := syncwire.NewLimits(syncwire.MinMTU, false, true)
	fit := small.Bulk()
	for _, c := range []struct {
		name string
		asks func(h *senderHost)
		want []int // sessions in the BULKs of each full sync but the last of each
	}{
		{"a newer peer", func(h *senderHost) { h.Solicited(newer, h.now) }, []int{fit}},
		{"an older peer", func(h *senderHost) { h.Solicited(older, h.now) }, []int{syncwire.MaxBulk}},
		{"an unknown peer", func(h *senderHost) { h.Solicited(unknown, h.now) }, []int{syncwire.MaxBulk}},
		{"both", func(h *senderHost) { h.Solicited(newer, h.now); h.Solicited(older, h.now) }, []int{syncwire.MaxBulk}},
		{"an older one while the table is read for a newer one", func(h *senderHost) {
			h.Solicited(newer, h.now)
			h.run(GatherRequests+4*TransferTick, func() {})
			h.Solicited(older, h.now)
		}, []int{fit, syncwire.MaxBulk}},
		{"everybody", func(h *senderHost) { h.Advertise(h.now) }, []int{syncwire.MaxBulk}},
		{"everybody, once the older one is gone", func(h *senderHost) { h.peers.forget(h.peers.WithID(older)); h.Advertise(h.now) }, []int{fit}},
		{"a return", func(h *senderHost) {
			h.Return(h.peers.WithID(newer), Snapshot{recordsAt(100), h.now}, nil, h.now)
		}, []int{fit}},
		{"a return to an older peer", func(h *senderHost) {
			h.Return(h.peers.WithID(older), Snapshot{recordsAt(100), h.now}, nil, h.now)
		}, []int{syncwire.MaxBulk}},
	} {
		h := newSenderHost(100 * time.Millisecond)
		h.limits = small
		for id, hello := range map[syncwire.ID]*syncwire.Hello{older: {Sync: syncwire.SyncYes}, newer: {Sync: syncwire.SyncYes, Heard: []syncwire.Heard{}}} {
			h.peers.Heard(netip.AddrFrom4([4]byte{10, 0, 0, byte(id >> 8)}), id, h.now).Greet(hello, &ttl, h.now)
		}
		c.asks(h)
		h.run(2*time.Second, func() {})
		var got []int
		for i, n := range h.sizes { // a lower number is that of the last BULK
			if i == 0 || h.sizes[i-1] < got[len(got)-1] {
				got = append(got, n)
			}
			if n > got[len(got)-1] {
				t.Errorf("%s: a BULK of %d sessions behind one of %d", c.name, n, got[len(got)-1])
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: BULKs of %d sessions, want %d", c.name, got, c.want)
		}
		if begins := slices.Compact(h.per); !slices.Equal(begins, c.want) {
			t.Errorf("%s: BEGINs say %d sessions, want %d", c.name, begins, c.want)
		}
	}
}

// TestRetransmitsAfterTheNext has another full sync follow at once. BULKs of the first one are retransmitted all the same.
func TestRetransmitsAfterTheNext(t *testing.T) {
	const by, bulks = 0x10f, 10
	h := newSenderHost(0)
	first := &transmission{why: syncwire.WhyAnswer, audience: []syncwire.ID{by}, table: Snapshot{recordsAt(bulks * syncwire.MaxBulk), h.now}}
	h.transmits(first, 0, func() {})
	h.Return(&Peer{PeerInfo: PeerInfo{ID: by, Sync: syncwire.SyncYes}}, Snapshot{recordsAt(10), h.now}, nil, h.now)
	h.Tick(h.now)
	second := h.current
	if second == nil || second.why != syncwire.WhyReturn {
		t.Fatal("the next full sync waits")
	}
	for h.current != nil {
		h.run(TransferTick, func() {})
	}
	h.now = h.now.Add(KeepSent / 2)
	h.Tick(h.now)
	h.Requested(&syncwire.Nack{FullSync: first.id, Ranges: []syncwire.Range{{From: 3, To: 4}}}, by, h.now)
	for range 5 {
		h.now = h.now.Add(TransferTick)
		h.Tick(h.now)
	}
	if len(h.sent) != 2 || first.Pending() {
		t.Fatalf("%d full syncs are kept, BULKs of the first wait: %v", len(h.sent), first.Pending())
	}
	if got := h.bulks[first.id] - bulks; got != 2 {
		t.Errorf("%d BULKs are retransmitted, want 2", got)
	}
	h.Tick(h.now.Add(KeepSent + time.Second))
	if n := len(h.sent); n > 0 {
		t.Errorf("%d full syncs are kept for too long", n)
	}
	if diff := cmp.Diff([]Event{TableReleased{bulks * syncwire.MaxBulk}, TableReleased{10}}, h.events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestReturnIsInAnswer has a peer request the whole table before something is returned to it.
func TestReturnIsInAnswer(t *testing.T) {
	h := newSenderHost(0)
	for _, id := range []syncwire.ID{7, 8} {
		h.Return(&Peer{PeerInfo: PeerInfo{ID: id}}, Snapshot{}, nil, h.now)
	}
	if at := h.Tick(h.now); !at.Equal(h.now.Add(AskFirst)) {
		t.Errorf("the return to a peer that is about to request the whole table begins at %v", at)
	}
	h.Solicited(7, h.now)
	if len(h.returns) != 1 || h.returns[0].audience[0] != 8 {
		t.Errorf("%d returns are left", len(h.returns))
	}
}

// TestRefreshesBeforeTable checks that waiting refreshes are sent before BEGIN when a peer requests the table, because
// the receiver stores datagrams after BEGIN later than the table.
func TestRefreshesBeforeTable(t *testing.T) {
	h := newSenderHost(0)
	h.Solicited(7, h.now)
	h.run(time.Second, func() {})
	if diff := cmp.Diff([]int{0}, h.refreshed); diff != "" || len(h.begins) != 1 {
		t.Errorf("%d full syncs; before the refreshes had begun (-want +got):\n%s", len(h.begins), diff)
	}
}

// TestDoubtful has a host learn, while it sends its table, that its module refused sessions: END and returns claim only the
// host's own component.
func TestDoubtful(t *testing.T) {
	h := newSenderHost(0)
	vector := []syncwire.Component{{Origin: 7, Known: true}, {Origin: 3, Known: true}}
	current, queued, sent := &transmission{vector: slices.Clone(vector)}, &transmission{vector: slices.Clone(vector)}, &transmission{vector: slices.Clone(vector)}
	h.current, h.returns, h.sent = current, []*transmission{queued}, []*transmission{sent}
	h.Doubt()
	for _, c := range []*transmission{current, queued, sent} {
		if !c.doubtful || len(c.vector) != 1 || c.vector[0].Origin != 3 {
			t.Errorf("doubtful: %t, %+v", c.doubtful, c.vector)
		}
	}
}

// TestServesBounded serves a peer that stays incomplete after it was sent the table and that returns nothing. The host
// must wait as long as the peer may need for a table that took this long, but not longer, so that two hosts that wait
// for each other continue.
func TestServesBounded(t *testing.T) {
	for _, c := range []struct{ takes, least, most time.Duration }{
		{10 * time.Millisecond, LeastTaken, LeastTaken + time.Second},
		{5 * time.Second, 20 * time.Second, 30 * time.Second},
		{40 * time.Second, TakenWithin, TakenWithin + time.Second},
	} {
		h := newSenderHost(c.takes)
		from := netip.MustParseAddr("fe80::1")
		peer := h.peers.Heard(from, 1, h.now)
		h.Solicited(peer.ID, h.now)
		for end := h.now.Add(c.takes + time.Minute); h.now.Before(end) && h.ended == 0; {
			h.run(time.Second, func() {})
			h.peers.Heard(from, peer.ID, h.now)
		}
		served := h.Served()
		waited := time.Duration(0)
		for at := served; ; at = at.Add(time.Second / 10) {
			if h.peers.Heard(from, peer.ID, at); !h.Serves(peer, at) {
				waited = at.Sub(served)
				break
			}
		}
		if waited < c.least || waited > c.most {
			t.Errorf("a table that is read in %v: it waits for %v, want %v to %v", c.takes, waited, c.least, c.most)
		}
	}
}
